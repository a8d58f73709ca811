// The page: what is picked and searched, and everything that a hand can do.

class Page extends Timeline {
    constructor(model) {
        super(model);
        this.panels = new Panels(model, this);
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
    Object.assign(window.timeline, { makeViews, FREE, WAITING });
    document.documentElement.dataset.ready = "yes";
}).catch(error => {
    document.querySelector("#wait").textContent = `This page cannot be shown: ${error.message}`;
});
