// The column beside the timeline: what is picked, how long wake-ups took, where VMs ran; all of the span that is shown.

function element(tag, text, attributes = {}) {
    const made = document.createElement(tag);
    if (text !== undefined)
        made.textContent = text;
    for (const [name, value] of Object.entries(attributes))
        made.setAttribute(name, value);
    return made;
}

function table(rows) {
    const made = element("table");
    for (const [name, value] of rows) {
        if (value === null || value === undefined)
            continue;
        const row = made.insertRow();
        row.append(element("th", name), element("td", value));
    }
    return made;
}

// What is to be said of one interval of a vCPU: [name, value] pairs.
function tellInterval(model, piece, offset) {
    const { vcpu, from, to, state, woken, pcpu } = piece;
    const at = offset + from, on = p => `pCPU ${p}${model.hasNodes ? `, node ${model.nodeOf(p)}` : ""}`;
    const previous = piece.i > 0 ? model.interval(vcpu, piece.i - 1) : null;
    const next = piece.isLast ? null : model.interval(vcpu, piece.i + 1);
    const rows = [["from", formatTime(at, 1)], ["for", formatSpan(to - from) + (piece.isLast ? ", to the end" : "")]];
    const names = ["running", "runnable", "blocked", "offline", "unknown"];
    if (state === RUNNING) {
        const home = model.isHome(vcpu, pcpu);
        rows.push(["on", on(pcpu) + (home === null ? "" : home ? " (home)" : " (away from home)")]);
        if (previous && previous.state === RUNNABLE)
            rows.push(["waited", formatSpan(previous.to - previous.from) + (previous.woken ? " since its wake-up" : " since it was preempted")]);
        const theft = model.mark(vcpu, 2, from, previous ? previous.from : from);
        rows.push(["stolen from", theft && on(theft.value)]);
        if (next)
            rows.push(["then", next.state === RUNNABLE ? `preempted${afterwards(model, pcpu, next.from)}` : names[next.state]]);
    } else if (state === RUNNABLE) {
        const waker = woken ? model.occupant(pcpu, from) : null;
        rows.push(woken ? ["woken", `on ${on(pcpu)}${waker && !waker.isIdle ? ` by ${waker.name}` : ""}`]
            : pcpu >= 0 ? ["preempted", `on ${on(pcpu)}${afterwards(model, pcpu, from)}`] : ["waits", "since before the page begins"]);
        const free = model.pcpus.filter(p => model.mayRun(vcpu, p) && model.occupant(p, from)?.isIdle);
        rows.push(["idle and allowed", free.length === 0 ? "no pCPU when it began" : `pCPU ${free.join(", ")} when it began`]);
        if (next && next.state === RUNNING)
            rows.push(["then", `runs on ${on(next.pcpu)}`]);
    } else if (next) {
        rows.push(["then", next.state === RUNNABLE ? "can run" : names[next.state]]);
    }
    for (const kind of [4, 3, 5]) {
        const mark = model.mark(vcpu, kind, from);
        if (mark)
            rows.push([MARKS[kind], kind === 5 ? (mark.value ? "parked" : null) : String(mark.value)]);
    }
    const boost = model.mark(vcpu, 0, from), ended = model.mark(vcpu, 1, from);
    if (boost && (!ended || ended.when < boost.when))
        rows.push(["boosted", `since ${formatTime(offset + boost.when, 1)}`]);
    return { title: `${vcpu.name} ${state === RUNNABLE ? "waits" : names[state]}`, vm: model.domainName(vcpu.domain), rows };
}

function afterwards(model, pcpu, when) {
    const lane = model.lanes[pcpu];
    for (let i = Math.max(0, lane.find(when)); i < lane.count && lane.times[i] < when + 1e6; ++i) {
        const v = lane.codes[i] === NOBODY ? null : model.vcpus[lane.codes[i] - 1];
        if (v && lane.times[i] >= when)
            return v.isIdle ? "" : ` by ${v.name}`;
    }
    return "";
}

const FIRST_LIMIT = 1000; // ns: waits are counted below it, then up to twice as much, and so on
// Doubling from 1 µs on; 1024 µs is called 1 ms.
function formatLimit(bucket) {
    const limit = 2 ** bucket;
    return bucket < 10 ? `${limit} µs` : bucket < 20 ? `${limit / 1024} ms` : `${limit / 1048576} s`;
}

class Panels {
    constructor(model, page) {
        this.model = model;
        this.page = page;
    }

    update(from, to) {
        this.details(from, to);
        this.latency(from, to);
        this.heat(from, to);
    }

    shares(lanes, views, from, to) {
        const sums = new Float64Array(CATEGORIES);
        lanes.forEach((lane, i) => lane && views[i] && lane.addSpan(views[i], from, to, sums));
        return sums;
    }

    details(from, to) {
        const box = document.querySelector("#details"), { model, page } = this, { picked } = page;
        box.replaceChildren();
        const offset = page.offset;
        if (picked?.piece) {
            const told = tellInterval(model, picked.piece, offset);
            box.append(element("h2", told.title), element("p", told.vm, { class: "sub" }), table(told.rows));
            const steps = element("div", undefined, { class: "steps" });
            for (const [text, by] of [["‹ before", -1], ["next ›", 1]]) {
                const button = element("button", text);
                button.onclick = () => page.step(by);
                steps.append(button);
            }
            const closer = element("button", "show all of it");
            closer.onclick = () => page.show(picked.piece.from, picked.piece.to);
            steps.append(closer);
            box.append(steps);
            return;
        }
        const views = makeViews(model, "home", null);
        if (picked) {
            const sums = this.shares(picked.vcpus.map(v => v.lane), picked.vcpus.map(v => views.vcpu[v.index]), from, to);
            const running = sums[HOME] + sums[AWAY] + sums[FREE], all = (to - from) * picked.vcpus.length;
            const [first] = picked.vcpus;
            box.append(element("h2", picked.name), this.bar(sums, all), table([
                ["running", percent(running / all)], ["waiting", percent(sums[WAITING] / all)],
                ["blocked", percent(sums[ASLEEP] / all)],
                ["at home", sums[HOME] + sums[AWAY] > 0 ? percent(sums[HOME] / (sums[HOME] + sums[AWAY])) : null],
                ["home", first.home && `node ${first.home.join(", ")}`], ["may run on", first.hard && `pCPU ${first.hard.join(", ")}`]]));
            return;
        }
        const sums = this.shares(model.pcpus.map(p => model.lanes[p]), model.pcpus.map(p => views.pcpu[p]), from, to);
        const all = (to - from) * model.pcpus.length, busy = sums[HOME] + sums[AWAY] + sums[FREE];
        const lost = model.losses.filter(l => l.to >= from && l.from <= to).reduce((n, l) => n + l.count, 0);
        box.append(element("h2", "All pCPUs"), this.bar(sums, all), table([
            ["busy", percent(busy / all)], ["idle", percent(sums[IDLE] / all)],
            ["at home", sums[HOME] + sums[AWAY] > 0 ? `${percent(sums[HOME] / (sums[HOME] + sums[AWAY]))} of the run time of those that have a home` : null],
            ["lost", lost ? `${lost} records` : null], ["span", formatSpan(to - from)]]));
    }

    bar(sums, all) {
        const bar = element("div", undefined, { class: "bar" });
        for (const [category, name] of [[HOME, "home"], [AWAY, "away"], [FREE, "free"], [WAITING, "waiting"]]) {
            const part = element("span", undefined, { title: `${name} ${percent(sums[category] / all)}` });
            part.style.cssText = `width: ${100 * sums[category] / all}%; background: var(--${name})`;
            bar.append(part);
        }
        return bar;
    }

    latency(from, to) {
        const { model, page } = this, box = d3.select("#latency");
        const vcpus = page.picked ? page.picked.vcpus : model.guests;
        const counts = new Uint32Array(40), worst = new Array(40).fill(null);
        const lengths = [];
        model.forWakes(vcpus, from, to, (v, i) => {
            const length = v.lane.times[i + 1] - v.lane.times[i], bucket = Math.max(0, Math.floor(Math.log2(Math.max(length, FIRST_LIMIT) / FIRST_LIMIT)));
            ++counts[bucket];
            lengths.push(length);
            if (!worst[bucket] || length > worst[bucket].length)
                worst[bucket] = { v, i, length };
        });
        const sorted = Float64Array.from(lengths).sort();
        const at = p => formatSpan(sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))]);
        box.select(".sub").text(sorted.length === 0 ? "no wake-up here" : `${page.picked ? page.picked.name : "all VMs"}: ${sorted.length} · median ${at(0.5)} · 99 % ${at(0.99)} · longest ${at(1)}`);
        const svg = box.select("svg");
        svg.selectAll("*").remove();
        if (sorted.length === 0)
            return;
        const first = counts.findIndex(n => n > 0), last = counts.length - 1 - [...counts].reverse().findIndex(n => n > 0);
        const width = box.node().clientWidth, height = 132, buckets = d3.range(Math.max(0, first - 1), last + 2);
        const x = d3.scaleBand(buckets, [34, width]).paddingInner(0.15), y = d3.scaleLinear([0, d3.max(counts)], [height - 20, 12]).nice(4);
        svg.append("g").attr("transform", "translate(34,0)").call(d3.axisLeft(y).tickValues(y.ticks(4).filter(Number.isInteger)).tickFormat(d3.format("~s")).tickSize(-(width - 34))).select(".domain").remove();
        const names = svg.append("g").selectAll("text").data(buckets.filter((_, i) => i % Math.ceil(buckets.length / 6) === 0)).enter().append("text");
        names.attr("x", b => x(b)).attr("y", height - 5).text(b => formatLimit(b));
        svg.selectAll("rect").data(buckets.filter(b => counts[b])).enter().append("rect").attr("class", "bar-of").attr("tabindex", 0)
            .attr("x", b => x(b)).attr("width", x.bandwidth()).attr("y", b => Math.min(y(counts[b]), height - 22)).attr("height", b => Math.max(2, y(0) - y(counts[b])))
            .on("click", b => page.pickPiece(model.interval(worst[b].v, worst[b].i), true))
            .append("title").text(b => `${counts[b]} from ${formatLimit(b)} to ${formatLimit(b + 1)}; click: the longest of them`);
    }

    // Rows: VMs, or the vCPUs of the VM that is picked. Columns: nodes, or pCPUs where nodes are not known.
    heat(from, to) {
        const { model, page } = this, box = document.querySelector("#heat .table");
        const columns = model.hasNodes ? model.nodes : model.pcpus, of = model.hasNodes ? model.nodeOf : p => p;
        const index = new Map(columns.map((c, i) => [c, i]));
        const table = model.pcpus.reduce((t, p) => (t[p + 1] = index.get(of(p)), t), []);
        const view = { key: "where", size: columns.length + 1, of: code => (code & 7) === RUNNING ? table[code >> 4] ?? columns.length : columns.length };
        const domain = page.picked ? page.picked.vcpus[0].domain : null;
        const rows = page.picked ? page.picked.heatRows : model.domains.map(d => ({ name: model.domainName(d), vcpus: model.guests.filter(v => v.domain === d) }));
        document.querySelector("#heat .sub").textContent = `share of ${domain === null ? "each VM's" : "each vCPU's"} run time by ${model.hasNodes ? "node" : "pCPU"}${columns.length > 4 ? ", percent" : ""}${model.hasNodes ? "; outlined: home" : ""}`;
        const made = element("table"), head = made.createTHead().insertRow();
        head.append(element("th", ""));
        for (const c of columns)
            head.append(element("th", model.hasNodes ? `node ${c}` : c));
        const body = made.createTBody();
        for (const { name, vcpus } of rows.slice(0, 64)) {
            const sums = new Float64Array(columns.length + 1);
            for (const v of vcpus)
                v.lane.addSpan(view, from, to, sums);
            const all = d3.sum(sums.subarray(0, columns.length)), row = body.insertRow();
            const title = element("th", name, { title: name });
            title.onclick = () => page.pick(vcpus.length === 1 ? vcpus[0] : vcpus[0].domain);
            row.append(title);
            columns.forEach((c, i) => {
                const share = all > 0 ? sums[i] / all : 0, cell = row.insertCell();
                cell.textContent = all > 0 ? (columns.length > 4 ? (share >= 0.005 ? Math.round(100 * share) : "") : percent(share)) : "–";
                cell.title = `${name}: ${formatSpan(sums[i])} on ${model.hasNodes ? "node" : "pCPU"} ${c}`;
                cell.style.background = `color-mix(in srgb, var(--accent) ${Math.round(88 * share)}%, var(--row))`;
                cell.style.color = share > 0.58 ? "var(--on)" : "";
                if (model.hasNodes && vcpus[0].home?.includes(c))
                    cell.className = "at-home";
            });
        }
        box.replaceChildren(made);
    }
}
