// The timeline: its rows, the span that is shown, and how all of it is painted. What hands can do with it is in main.js.

const GUTTER = 118, GROUP_HEIGHT = 24, PCPU_HEIGHT = 22, VCPU_HEIGHT = 20, PAD = 3;

class Timeline {
    constructor(model) {
        this.model = model;
        this.offset = model.about.begin - model.about.first; // of times that are shown
        this.by = model.hasNodes && model.guests.some(v => v.home) ? "home" : "vm";
        this.picked = null; // {name, vcpus, piece?, heatRows}
        this.folded = new Set();
        this.top = 0;
        this.plot = document.querySelector("#plot");
        this.canvas = this.plot.querySelector("canvas");
        this.scroller = document.querySelector("#scroll");
    }

    layOut() {
        const { model } = this;
        this.rows = [];
        const group = (key, name, note, rows) => {
            this.rows.push({ kind: "group", key, name, note });
            if (!this.folded.has(key))
                this.rows.push(...rows);
        };
        const pcpuRow = p => ({ kind: "pcpu", pcpu: p, name: `pCPU ${p}`, lane: model.lanes[p] });
        if (model.hasNodes)
            for (const n of model.nodes)
                group(`node ${n}`, `node ${n}`, "", model.pcpus.filter(p => model.nodeOf(p) === n).map(pcpuRow));
        else
            group("pcpus", "pCPUs", "", model.pcpus.map(pcpuRow));
        for (const d of model.domains) {
            const vcpus = model.guests.filter(v => v.domain === d), [first] = vcpus;
            group(`d${d}`, model.domainName(d), first.home ? `home: node ${first.home.join(", ")}` : "", vcpus.map(v => ({ kind: "vcpu", vcpu: v, name: v.name, lane: v.lane })));
        }
        let y = 0;
        for (const row of this.rows) {
            row.y = y;
            row.height = row.kind === "group" ? GROUP_HEIGHT : row.kind === "pcpu" ? PCPU_HEIGHT : VCPU_HEIGHT;
            y += row.height;
        }
        this.rowsHeight = y;
        this.scroller.firstElementChild.style.height = `${y}px`;
    }

    rowAt(y) { return this.rows.find(r => y + this.top >= r.y && y + this.top < r.y + r.height); }

    // ---------------------------------------------------------------------------------------------------------- what is seen
    get from() { return this.x.invert(GUTTER); }
    get to() { return this.x.invert(this.width); }

    resize() {
        const { from, to } = this.x ? this : { from: 0, to: this.model.length };
        this.width = this.plot.clientWidth;
        this.height = this.plot.clientHeight;
        this.ratio = devicePixelRatio || 1;
        this.canvas.width = Math.round(this.width * this.ratio);
        this.canvas.height = Math.round(this.height * this.ratio);
        this.base = d3.scaleLinear([0, this.model.length], [GUTTER, this.width]);
        this.x = this.base;
        const frame = [[GUTTER, 0], [this.width, this.height]];
        this.zoom.extent(frame).translateExtent([[GUTTER, -Infinity], [this.width, Infinity]]).scaleExtent([1, Math.max(1, this.model.length / 200)]);
        this.brush.extent([[GUTTER, 2], [this.width, 44]]);
        d3.select("#overview svg").select("g").call(this.brush);
        this.drawOverview();
        this.show(from, to, 0);
    }

    // Shows the span, with `margin` of it on both sides.
    show(from, to, margin = 0.25) {
        const middle = (from + to) / 2, half = Math.max((to - from) * (0.5 + margin), 100);
        const left = Math.max(0, middle - half), right = Math.min(this.model.length, middle + half);
        const k = (this.width - GUTTER) / (this.base(right) - this.base(left));
        const transform = d3.zoomIdentity.translate(GUTTER, 0).scale(k).translate(-this.base(left), 0);
        d3.select(this.plot).call(this.zoom.transform, transform);
    }

    draw() {
        if (!this.pending) {
            this.pending = requestAnimationFrame(() => {
                this.pending = 0;
                this.paint();
            });
            clearTimeout(this.later);
            this.later = setTimeout(() => this.panels.update(this.from, this.to), this.everDrawn ? 140 : 0);
            this.everDrawn = true;
        }
    }

    paint() {
        const context = this.canvas.getContext("2d"), { palette, width, height, model } = this, { from, to } = this;
        const scale = (width - GUTTER) / (to - from);
        context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
        context.fillStyle = palette.page;
        context.fillRect(0, 0, width, height);
        context.textBaseline = "middle";
        this.views ??= makeViews(model, this.by, this.picked?.vcpus ?? null);
        this.drawAxis(context);
        const painter = new LanePainter(context, palette.colours);
        painter.soft = palette.soft;
        const nameOf = code => code === NOBODY || model.vcpus[code - 1].isIdle ? null : model.vcpus[code - 1].name;
        const placeOf = code => (code & 7) === RUNNING ? `pCPU ${(code >> 4) - 1}` : null;
        for (const row of this.rows) {
            const y = row.y - this.top;
            if (y > height || y + row.height < 0)
                continue;
            if (row.kind === "group") {
                this.paintGroup(context, row, y);
                continue;
            }
            const bandHeight = row.height - 2 * PAD;
            context.fillStyle = palette.row;
            context.fillRect(GUTTER, y + PAD, width - GUTTER, bandHeight);
            context.font = "11px system-ui, sans-serif";
            const view = row.kind === "pcpu" ? this.views.pcpu[row.pcpu] : this.views.vcpu[row.vcpu.index];
            const isDim = this.picked && row.kind === "vcpu" && !this.picked.vcpus.includes(row.vcpu);
            context.globalAlpha = isDim ? 0.35 : 1;
            if (row.lane.count > 0)
                painter.paint(row.lane, view, from, scale, GUTTER, width - GUTTER, y + PAD, bandHeight, row.kind === "pcpu" ? nameOf : placeOf);
            context.globalAlpha = 1;
            context.fillStyle = this.hover?.row === row ? palette.ink : palette.soft;
            context.font = "12px system-ui, sans-serif";
            context.fillText(row.name, 26, y + row.height / 2);
        }
        this.paintLosses(context, from, scale);
        this.paintPicked(context, from, scale);
    }

    paintGroup(context, row, y) {
        const { palette } = this;
        context.fillStyle = palette.group;
        context.fillRect(0, y + 2, this.width, GROUP_HEIGHT - 4);
        context.fillStyle = palette.ink;
        context.font = "600 12px system-ui, sans-serif";
        context.fillText(`${this.folded.has(row.key) ? "▸" : "▾"} ${row.name}`, 10, y + GROUP_HEIGHT / 2);
        if (row.note) {
            context.fillStyle = palette.soft;
            context.font = "11px system-ui, sans-serif";
            context.fillText(row.note, GUTTER + 8, y + GROUP_HEIGHT / 2);
        }
    }

    paintLosses(context, from, scale) {
        for (const loss of this.model.losses) {
            const row = this.rows.find(r => r.kind === "pcpu" && r.pcpu === loss.pcpu), left = GUTTER + (loss.from - from) * scale;
            const right = Math.max(left + 2, GUTTER + (loss.to - from) * scale);
            if (!row || right < GUTTER || left > this.width)
                continue;
            context.fillStyle = this.palette.colours[LOST];
            context.globalAlpha = 0.55;
            context.fillRect(Math.max(GUTTER, left), row.y - this.top + PAD, Math.min(right, this.width) - Math.max(GUTTER, left), row.height - 2 * PAD);
            context.globalAlpha = 1;
        }
    }

    // A frame around the piece that is picked, and arrows from who woke the picked vCPUs as far as they can be told apart.
    paintPicked(context, from, scale) {
        if (!this.picked)
            return;
        const { piece } = this.picked, { palette } = this, rowOf = v => this.rows.find(r => r.vcpu === v);
        context.strokeStyle = palette.ink;
        if (piece && rowOf(piece.vcpu)) {
            const row = rowOf(piece.vcpu), left = Math.max(GUTTER, GUTTER + (piece.from - from) * scale), right = GUTTER + (piece.to - from) * scale;
            context.lineWidth = 2;
            if (right >= GUTTER && left <= this.width)
                context.strokeRect(left - 1, row.y - this.top + 1, Math.max(3, right - left + 2), row.height - 2);
        }
        const wakes = [];
        this.model.forWakes(this.picked.vcpus, from, this.to, (v, i) => wakes.length < 300 && wakes.push([v, i]));
        if (wakes.length >= 300)
            return;
        context.lineWidth = 1;
        context.strokeStyle = context.fillStyle = palette.arrow;
        for (const [v, i] of wakes)
            this.paintArrow(context, v, this.model.interval(v, i), GUTTER + (v.lane.times[i] - from) * scale);
    }

    paintArrow(context, v, piece, x) {
        const waker = this.model.occupant(piece.pcpu, piece.from);
        const start = waker && !waker.isIdle ? this.rows.find(r => r.vcpu === waker) : this.rows.find(r => r.kind === "pcpu" && r.pcpu === piece.pcpu);
        const end = this.rows.find(r => r.vcpu === v);
        if (!start || !end || start === end)
            return;
        const down = end.y > start.y, y0 = start.y - this.top + start.height / 2, y1 = end.y - this.top + (down ? PAD : end.height - PAD);
        context.globalAlpha = 0.7;
        context.beginPath();
        context.moveTo(x, y0);
        context.lineTo(x, y1);
        context.stroke();
        context.beginPath();
        context.moveTo(x, y1);
        context.lineTo(x - 3.5, y1 + (down ? -6 : 6));
        context.lineTo(x + 3.5, y1 + (down ? -6 : 6));
        context.fill();
        context.globalAlpha = 1;
    }

    drawAxis(context) {
        const shown = this.x.copy().domain([this.from + this.offset, this.to + this.offset]).range([GUTTER, this.width]);
        const ticks = shown.ticks(Math.max(2, Math.floor((this.width - GUTTER) / 130))).filter(t => shown(t) < this.width - 24), step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
        d3.select("#axis").attr("viewBox", `0 0 ${this.width} 24`).call(d3.axisTop(shown).tickValues(ticks).tickSize(5).tickFormat(t => formatTime(t, step)))
            .select(".domain").remove();
        d3.select("#axis").selectAll(".tick").attr("transform", t => `translate(${shown(t)},24)`);
        context.fillStyle = this.palette.line;
        for (const t of ticks)
            context.fillRect(Math.round(shown(t)), 0, 1, this.height);
    }

    // All pCPUs over the whole trace: what they did, and how many vCPUs waited.
    drawOverview() {
        const { model, palette } = this, canvas = document.querySelector("#overview canvas"), width = this.width - GUTTER, height = 40;
        canvas.width = Math.round(this.width * this.ratio);
        canvas.height = Math.round(46 * this.ratio);
        const context = canvas.getContext("2d");
        context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
        context.clearRect(0, 0, this.width, 46);
        if (!palette || width < 10)
            return;
        const lanes = model.pcpus.map(p => model.lanes[p]), views = makeViews(model, "home", null);
        const columns = Math.max(50, Math.min(Math.floor(width), Math.floor(60000 / (lanes.length + model.guests.length))));
        const waits = [];
        context.fillStyle = palette.row;
        context.fillRect(GUTTER, 3, width, height);
        for (let c = 0; c < columns; ++c) {
            const from = model.length * c / columns, to = model.length * (c + 1) / columns, sums = new Float64Array(CATEGORIES), waiting = new Float64Array(CATEGORIES);
            model.pcpus.forEach((p, i) => lanes[i].addSpan(views.pcpu[p], from, to, sums));
            for (const v of model.guests)
                v.lane.addSpan(views.vcpu[v.index], from, to, waiting);
            waits.push(waiting[WAITING] / (to - from));
            let y = 3 + height;
            for (const category of [HOME, AWAY, FREE]) {
                const part = height * sums[category] / ((to - from) * lanes.length);
                context.fillStyle = palette.colours[category];
                context.fillRect(GUTTER + width * c / columns, y - part, width / columns + 0.5, part);
                y -= part;
            }
        }
        const most = Math.max(1, ...waits);
        context.beginPath();
        const wide = Math.ceil(columns / 160); // columns that a point of the line stands for
        for (let c = 0; c < columns; c += wide)
            context.lineTo(GUTTER + width * (c + wide / 2) / columns, 3 + height - (height - 2) * d3.mean(waits.slice(c, c + wide)) / most);
        for (const [colour, thickness] of [[palette.panel, 3], [palette.colours[WAITING], 1.3]]) {
            context.strokeStyle = colour;
            context.lineWidth = thickness;
            context.stroke();
        }
        context.fillStyle = palette.soft;
        context.font = "11px system-ui, sans-serif";
        context.textBaseline = "middle";
        context.fillText("all pCPUs", 10, 16);
        context.fillStyle = palette.colours[WAITING];
        context.fillText(`waiting, up to ${Math.ceil(most)}`, 10, 32);
    }
}
