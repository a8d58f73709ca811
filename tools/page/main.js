// The page: rows, the span that is shown, what is picked, and everything that a hand can do.

const GUTTER = 118, GROUP_HEIGHT = 24, PCPU_HEIGHT = 22, VCPU_HEIGHT = 20, PAD = 3;

class Page {
    constructor(model) {
        this.model = model;
        this.offset = model.about.begin - model.about.first; // of times that are shown
        this.by = model.hasNodes && model.guests.some(v => v.home) ? "home" : "vm";
        this.picked = null; // {name, vcpus, piece?, heatRows}
        this.folded = new Set();
        this.top = 0;
        this.panels = new Panels(model, this);
        this.plot = document.querySelector("#plot");
        this.canvas = this.plot.querySelector("canvas");
        this.scroller = document.querySelector("#scroll");
        const { about } = model;
        document.title = `${about.title} · numavisor timeline`;
        document.querySelector("#title").textContent = about.title;
        document.querySelector("#facts").textContent = [formatSpan(model.length), `${model.pcpus.length} pCPUs${model.hasNodes ? ` on ${model.nodes.length} nodes` : ""}`,
            `${model.domains.length} VMs, ${model.guests.length} vCPUs`, `${about.records.toLocaleString("en")} records`, about.lost ? `${about.lost.toLocaleString("en")} lost` : ""].filter(Boolean).join(" · ");
        this.layOut();
        this.connect();
        this.setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
        this.resize();
        new ResizeObserver(() => this.resize()).observe(this.plot);
    }

    // ---------------------------------------------------------------------------------------------------------------- rows
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
        const ticks = shown.ticks(Math.max(2, Math.floor((this.width - GUTTER) / 130))), step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
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
        context.strokeStyle = palette.colours[WAITING];
        context.lineWidth = 1.5;
        context.beginPath();
        waits.forEach((n, c) => context.lineTo(GUTTER + width * (c + 0.5) / columns, 3 + height - (height - 2) * n / most));
        context.stroke();
        context.fillStyle = palette.soft;
        context.font = "11px system-ui, sans-serif";
        context.textBaseline = "middle";
        context.fillText("all pCPUs", 10, 16);
        context.fillStyle = palette.colours[WAITING];
        context.fillText(`waiting ≤ ${most < 10 ? most.toFixed(1) : Math.round(most)}`, 10, 32);
    }

    // --------------------------------------------------------------------------------------------------------------- picking
    // A vCPU, a domain's number, or nothing.
    pick(what) {
        const { model } = this;
        const rowsOf = d => model.guests.filter(v => v.domain === d).map(v => ({ name: v.name, vcpus: [v] }));
        if (what === null)
            this.picked = null;
        else if (typeof what === "number")
            this.picked = { name: model.domainName(what), vcpus: model.guests.filter(v => v.domain === what), heatRows: rowsOf(what) };
        else
            this.picked = { name: what.name, vcpus: [what], heatRows: [{ name: what.name, vcpus: [what] }] };
        this.views = null;
        this.draw();
        this.panels.update(this.from, this.to);
    }

    // One interval of a vCPU; goes there if it is out of sight, or so small that it cannot be seen.
    pickPiece(piece, goThere = false) {
        this.pick(piece.vcpu);
        this.picked.piece = piece;
        const row = this.rows.find(r => r.vcpu === piece.vcpu);
        const isSeen = piece.from < this.to && piece.to > this.from && (piece.to - piece.from) * (this.width - GUTTER) / (this.to - this.from) > 3;
        if (goThere && !isSeen)
            this.show(piece.from, piece.to, 4);
        if (goThere && row && (row.y < this.top || row.y + row.height > this.top + this.height))
            this.scroller.scrollTop = row.y - this.height / 2;
        this.draw();
        this.panels.update(this.from, this.to);
    }

    step(by) {
        const { piece } = this.picked, i = piece.i + by;
        if (i >= 0 && i < piece.vcpu.lane.count)
            this.pickPiece(this.model.interval(piece.vcpu, i), true);
    }

    // ---------------------------------------------------------------------------------------------------------------- search
    search(text, again) {
        const { model } = this, said = text.trim().toLowerCase(), found = document.querySelector("#found");
        found.textContent = "";
        if (said === "")
            return this.pick(null);
        const span = /^(wait)s?\s*>\s*([\d.]+)\s*(ns|us|µs|ms|s)?$/.exec(said);
        if (span) {
            const unit = { ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9 }[span[3] ?? "ms"];
            return this.go(said, again, model.longWaits(this.picked && again ? this.lastVcpus : model.guests, Number(span[2]) * unit));
        }
        const time = /^([\d.]+)\s*(s|ms|us|µs)$/.exec(said);
        if (time) {
            const at = Number(time[1]) * { s: 1e9, ms: 1e6, us: 1e3, "µs": 1e3 }[time[2]] - this.offset, half = Math.min(this.to - this.from, model.length / 50) / 2;
            found.textContent = at >= 0 && at <= model.length ? "" : "not in the trace";
            return found.textContent ? undefined : this.show(at - half, at + half, 0);
        }
        const vcpu = model.guests.find(v => v.name === said);
        const domain = model.domains.find(d => `d${d}` === said || model.domainName(d).toLowerCase().includes(said));
        const pcpu = /^(?:pcpu|cpu)\s*(\d+)$/.exec(said);
        const row = pcpu && this.rows.find(r => r.kind === "pcpu" && r.pcpu === Number(pcpu[1]));
        if (!vcpu && domain === undefined && !row) {
            found.textContent = "nothing";
            return undefined;
        }
        const target = vcpu ? this.rows.find(r => r.vcpu === vcpu) : row || this.rows.find(r => r.key === `d${domain}`);
        if (target)
            this.scroller.scrollTop = target.y - this.height / 3;
        return row ? this.draw() : this.pick(vcpu ?? domain);
    }

    // The next of what was found, from what is shown on.
    go(said, again, pieces) {
        const found = document.querySelector("#found");
        this.lastVcpus = this.model.guests;
        this.at = again && this.lastSaid === said ? (this.at + 1) % pieces.length : 0;
        this.lastSaid = said;
        found.textContent = pieces.length === 0 ? "none" : `${this.at + 1} of ${pieces.length}`;
        if (pieces.length !== 0)
            this.pickPiece(pieces[this.at], true);
    }

    // ----------------------------------------------------------------------------------------------------------------- hover
    pieceAt(x, y) {
        const row = this.rowAt(y);
        if (!row || row.kind === "group" || x < GUTTER)
            return { row };
        const when = this.x.invert(x), pixel = (this.to - this.from) / (this.width - GUTTER), i = row.lane.find(when);
        return { row, when, pixel, i };
    }

    tellTip(event) {
        const tip = document.querySelector("#tip"), [x, y] = d3.clientPoint(this.plot, event), at = this.pieceAt(x, y);
        const old = this.hover?.row;
        this.hover = at;
        if (old !== at.row)
            this.draw();
        tip.hidden = at.i === undefined || at.i < 0;
        if (tip.hidden)
            return;
        const { model } = this, { row, i } = at, code = row.lane.codes[i], from = row.lane.times[i], to = row.lane.until(i);
        const lines = [];
        let title = `${row.name}, ${formatTime(this.offset + at.when, at.pixel)}`;
        const crowd = row.lane.find(at.when + at.pixel) - i + 1;
        if (to - from < at.pixel && crowd > 2) {
            const sums = new Float64Array(CATEGORIES), view = row.kind === "pcpu" ? makeViews(model, "home", null).pcpu[row.pcpu] : makeViews(model, "home", null).vcpu[row.vcpu.index];
            row.lane.addSpan(view, at.when, at.when + at.pixel, sums);
            lines.push(`${crowd} changes in the ${formatSpan(at.pixel)} of this pixel:`);
            for (const [category, name] of [[HOME, "at home"], [AWAY, "away from home"], [FREE, "running"], [WAITING, "waiting"], [ASLEEP, "blocked"], [IDLE, "idle"]])
                if (sums[category] > 0)
                    lines.push(`${name} ${percent(sums[category] / at.pixel)}`);
        } else if (row.kind === "vcpu") {
            this.tellPiece(model.interval(row.vcpu, i), lines);
        } else if (code === NOBODY || model.vcpus[code - 1].isIdle) {
            lines.push(code === NOBODY ? "nothing is known, or between two vCPUs" : "idle", `for ${formatSpan(to - from)}, since ${formatTime(this.offset + from, 1)}`);
        } else {
            const v = model.vcpus[code - 1];
            this.tellPiece(model.interval(v, v.lane.find(from)), lines);
        }
        const queue = row.kind === "pcpu" && model.queues[row.pcpu];
        if (queue && queue.find(at.when) >= 0)
            lines.push(`queue: ${queue.codes[queue.find(at.when)]}`);
        tip.replaceChildren(element("b", title), ...lines.map(line => element("div", line)));
        const box = tip.getBoundingClientRect();
        tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
        tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
    }

    tellPiece(piece, lines) {
        const told = tellInterval(this.model, piece, this.offset);
        lines.push(`${told.title} · ${told.vm}`, ...told.rows.filter(([, value]) => value).map(([name, value]) => `${name} ${value}`));
    }

    click(event) {
        const [x, y] = d3.clientPoint(this.plot, event), at = this.pieceAt(x, y);
        if (!at.row)
            return;
        if (at.row.kind === "group") {
            if (x < 24 || at.row.key.startsWith("node") || at.row.key === "pcpus") {
                this.folded[this.folded.has(at.row.key) ? "delete" : "add"](at.row.key);
                this.layOut();
                this.draw();
            } else {
                this.pick(Number(at.row.key.slice(1)));
            }
        } else if (at.i === undefined || at.i < 0) {
            this.pick(at.row.kind === "vcpu" ? at.row.vcpu : null);
        } else if (at.row.kind === "vcpu") {
            this.pickPiece(this.model.interval(at.row.vcpu, at.i));
        } else {
            const code = at.row.lane.codes[at.i], v = code === NOBODY ? null : this.model.vcpus[code - 1];
            if (v && !v.isIdle)
                this.pickPiece(this.model.interval(v, v.lane.find(at.row.lane.times[at.i])));
            else
                this.pick(null);
        }
    }

    // ------------------------------------------------------------------------------------------------------------------ hands
    setTheme(theme) {
        document.documentElement.dataset.theme = theme;
        this.palette = readPalette();
        this.tellLegend();
        if (this.x) {
            this.drawOverview();
            this.draw();
        }
    }

    setBy(by) {
        this.by = by;
        this.views = null;
        this.tellLegend();
        this.draw();
    }

    tellLegend() {
        const legend = document.querySelector("#legend"), { model } = this;
        document.querySelector("#by-home").setAttribute("aria-pressed", this.by === "home");
        document.querySelector("#by-vm").setAttribute("aria-pressed", this.by === "vm");
        const running = this.by === "vm" ? model.domains.slice(0, 12).map((d, i) => [`vm${i % VM_COLOURS}`, model.domainName(d)])
            : [["home", "runs at home"], ["away", "runs away from home"], ["free", "runs, has no home"]];
        const all = [...running, ["waiting", "waits for a pCPU"], ["blocked", "blocked"], ["row", "idle"], ...(model.losses.length ? [["lost", "records lost"]] : [])];
        legend.replaceChildren(...all.map(([name, text]) => {
            const entry = element("span"), colour = element("i");
            colour.style.background = `var(--${name})`;
            entry.append(colour, text);
            return entry;
        }));
    }

    connect() {
        const on = (name, use) => { document.querySelector(name).onclick = use; };
        this.zoom = d3.zoom().filter(() => {
            const e = d3.event;
            return e.type === "wheel" ? e.ctrlKey || e.metaKey || this.rowsHeight <= this.height : !e.button && !e.shiftKey && e.type !== "dblclick";
        }).wheelDelta(() => -d3.event.deltaY * (d3.event.deltaMode === 1 ? 0.05 : d3.event.deltaMode ? 1 : 0.002)).on("zoom", () => {
            this.x = d3.event.transform.rescaleX(this.base);
            if (!this.isBrushing)
                d3.select("#overview svg").select("g").call(this.brush.move, [this.base(this.from), Math.max(this.base(this.to), this.base(this.from) + 1)]);
            this.draw();
        }).on("start", () => this.plot.classList.add("moving")).on("end", () => this.plot.classList.remove("moving"));
        this.brush = d3.brushX().on("brush", () => {
            if (!d3.event.sourceEvent || d3.event.sourceEvent.type === "zoom" || !d3.event.selection)
                return;
            this.isBrushing = true;
            this.show(...d3.event.selection.map(this.base.invert), 0);
            this.isBrushing = false;
        });
        d3.select("#overview svg").append("g").attr("class", "brush");
        d3.select(this.plot).call(this.zoom);
        this.connectPlot();
        on("#by-home", () => this.setBy("home"));
        on("#by-vm", () => this.setBy("vm"));
        on("#theme", () => this.setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
        on("#closer", () => this.scaleBy(2));
        on("#farther", () => this.scaleBy(0.5));
        on("#whole", () => this.show(0, this.model.length, 0));
        const search = document.querySelector("#search");
        search.onkeydown = e => {
            if (e.key === "Enter")
                this.search(search.value, true);
            else if (e.key === "Escape")
                search.blur();
            e.stopPropagation();
        };
        search.oninput = () => search.value === "" && this.search("", false);
        document.onkeydown = e => this.key(e);
    }

    connectPlot() {
        const { plot } = this;
        plot.addEventListener("mousemove", e => this.tellTip(e));
        plot.addEventListener("mouseleave", () => { document.querySelector("#tip").hidden = true; });
        plot.addEventListener("click", e => !e.shiftKey && this.click(e));
        plot.addEventListener("wheel", e => {
            if (e.ctrlKey || e.metaKey || this.rowsHeight <= this.height)
                return;
            e.preventDefault();
            if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY))
                d3.select(plot).call(this.zoom.translateBy, -(e.deltaX || e.deltaY) * (this.to - this.from) / this.model.length, 0);
            else
                this.scroller.scrollTop += e.deltaY;
        }, { passive: false });
        this.scroller.onscroll = () => {
            this.top = this.scroller.scrollTop;
            this.draw();
        };
        plot.addEventListener("mousedown", e => {
            if (!e.shiftKey)
                return;
            const start = this.x.invert(d3.clientPoint(plot, e)[0]);
            addEventListener("mouseup", up => {
                const end = this.x.invert(d3.clientPoint(plot, up)[0]);
                if (Math.abs(end - start) > (this.to - this.from) / 200)
                    this.show(Math.min(start, end), Math.max(start, end), 0);
            }, { once: true });
        });
    }

    scaleBy(k) { d3.select(this.plot).call(this.zoom.scaleBy, k); }

    key(e) {
        const pan = part => d3.select(this.plot).call(this.zoom.translateBy, part * (this.to - this.from) / this.model.length * (this.width - GUTTER), 0);
        const keys = { "+": () => this.scaleBy(2), "=": () => this.scaleBy(2), "-": () => this.scaleBy(0.5), 0: () => this.show(0, this.model.length, 0),
            ArrowLeft: () => pan(0.2), ArrowRight: () => pan(-0.2), ArrowUp: () => { this.scroller.scrollTop -= 60; }, ArrowDown: () => { this.scroller.scrollTop += 60; },
            Escape: () => this.pick(null), "/": () => document.querySelector("#search").focus(), n: () => this.picked?.piece && this.step(1), p: () => this.picked?.piece && this.step(-1) };
        if (e.ctrlKey || e.metaKey || e.altKey || !keys[e.key])
            return;
        e.preventDefault();
        keys[e.key]();
    }
}

loadModel().then(model => {
    document.querySelector("#wait").remove();
    window.timeline = new Page(model); // for the browser's console, and for tests
    document.documentElement.dataset.ready = "yes";
}).catch(error => {
    document.querySelector("#wait").textContent = `This page cannot be shown: ${error.message}`;
});
