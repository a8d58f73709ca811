// What the trace says, as the page asks for it: a lane of intervals for each pCPU (who is there) and each vCPU (its state),
// and sums over any span of time without walking all that lies in it.
//
// An interval lasts until the next one of its lane begins, the last one until the end of the trace. Times are ns since the
// page's begin.

const RUNNING = 0, RUNNABLE = 1, BLOCKED = 2, OFFLINE = 3, UNKNOWN = 4;
const WOKEN = 8;        // in a vCPU's code: it waits since a wake-up
const NOBODY = 0;       // in a pCPU's code; else 1 + the vCPU's index
const BLOCK = 64;       // intervals of a lane whose sums are kept
const MARKS = ["boosted", "no longer boosted", "stolen", "credit", "priority", "cap"];
const IDLE_DOMAIN = 32767;

class Lane {
    constructor() {
        this.times = new Float64Array(16);
        this.codes = new Int32Array(16);
        this.count = 0;
        this.end = 0;
        this.sums = new Map();
    }

    push(when, code) {
        if (this.count === this.times.length) {
            const times = new Float64Array(2 * this.count), codes = new Int32Array(2 * this.count);
            times.set(this.times);
            codes.set(this.codes);
            this.times = times;
            this.codes = codes;
        }
        this.times[this.count] = when;
        this.codes[this.count++] = code;
    }

    last() { return this.count === 0 ? -1 : this.codes[this.count - 1]; }
    until(i) { return i + 1 < this.count ? this.times[i + 1] : this.end; }

    // The interval at that time; -1 before the first.
    find(when) {
        let low = 0, high = this.count;
        while (low < high) {
            const middle = (low + high) >>> 1;
            if (this.times[middle] <= when)
                low = middle + 1;
            else
                high = middle;
        }
        return low - 1;
    }

    // By category, up to each block of intervals. A view is {key, size, of(code)}; of() may be a table.
    blocks(view) {
        let sums = this.sums.get(view.key);
        if (sums)
            return sums;
        const size = view.size;
        sums = new Float64Array((Math.floor(this.count / BLOCK) + 1) * size);
        const running = new Float64Array(size);
        for (let i = 0; i < this.count; ++i) {
            if (i % BLOCK === 0)
                sums.set(running, i / BLOCK * size);
            running[view.of(this.codes[i])] += this.until(i) - this.times[i];
        }
        if (this.count % BLOCK === 0)
            sums.set(running, this.count / BLOCK * size);
        if (this.sums.size > 6)
            this.sums.clear();
        this.sums.set(view.key, sums);
        return sums;
    }

    // Adds the time of whole intervals first..past-1 to `into`, by category.
    add(view, first, past, into) {
        const from = Math.ceil(first / BLOCK), to = Math.floor(past / BLOCK);
        if (to <= from) {
            for (let i = first; i < past; ++i)
                into[view.of(this.codes[i])] += this.until(i) - this.times[i];
            return;
        }
        const sums = this.blocks(view), size = view.size;
        this.add(view, first, from * BLOCK, into);
        for (let c = 0; c < size; ++c)
            into[c] += sums[to * size + c] - sums[from * size + c];
        this.add(view, to * BLOCK, past, into);
    }

    // Adds the time of each category between two times.
    addSpan(view, from, to, into) {
        let i = this.find(from);
        const last = this.find(to);
        if (last < 0 || to <= from)
            return;
        if (i < 0)
            i = 0;
        if (i === last) {
            into[view.of(this.codes[i])] += Math.min(to, this.until(i)) - Math.max(from, this.times[i]);
            return;
        }
        into[view.of(this.codes[i])] += this.times[i + 1] - Math.max(from, this.times[i]);
        this.add(view, i + 1, last, into);
        into[view.of(this.codes[last])] += Math.min(to, this.until(last)) - this.times[last];
    }
}

class Model {
    constructor(about) {
        this.about = about;
        this.length = about.end - about.begin;
        this.pcpus = about.pcpus;
        this.nodeOf = p => about.nodes[p];
        this.hasNodes = about.nodes.length > 0;
        this.nodes = this.hasNodes ? [...new Set(about.pcpus.map(p => about.nodes[p]))].sort((a, b) => a - b) : [];
        this.vcpus = about.vcpus.map(([domain, vcpu, home, hard], index) => ({
            index, domain, vcpu, home, hard, isIdle: domain === IDLE_DOMAIN,
            name: domain === IDLE_DOMAIN ? `idle${vcpu}` : `d${domain}v${vcpu}`, lane: new Lane(), marks: [],
        }));
        this.guests = this.vcpus.filter(v => !v.isIdle).sort((a, b) => a.domain - b.domain || a.vcpu - b.vcpu);
        this.domains = [...new Set(this.guests.map(v => v.domain))];
        this.lanes = [];  // by pCPU
        this.queues = []; // by pCPU: lengths of the run queue, if the trace has them
        for (const p of this.pcpus)
            this.lanes[p] = new Lane();
        this.losses = [];
        this.where = new Int32Array(this.vcpus.length).fill(-1);
    }

    domainName(d) {
        const name = this.about.names[d];
        return name === undefined ? `d${d}` : name === `d${d}` ? name : `${name} (d${d})`;
    }
    isHome(v, p) { return !this.hasNodes || !v.home ? null : v.home.includes(this.nodeOf(p)); }
    mayRun(v, p) { return !v.hard || v.hard.includes(p); }

    // ------------------------------------------------------------------------------------------------- what the stream says
    lane(p) { return this.lanes[p] ??= new Lane(); }

    arrives(when, v, p) {
        const old = this.where[v];
        if (old >= 0 && old !== p && this.lane(old).last() === v + 1)
            this.lane(old).push(when, NOBODY); // what told of its leaving is lost
        this.where[v] = p;
        this.lane(p).push(when, v + 1);
        this.vcpus[v].lane.push(when, RUNNING | (p + 1) << 4);
    }
    leaves(when, v, p, state) {
        if (this.lane(p).last() === v + 1)
            this.lane(p).push(when, NOBODY);
        this.where[v] = -1;
        this.vcpus[v].lane.push(when, state | (p + 1) << 4);
    }
    wakes(when, v, p) { this.vcpus[v].lane.push(when, RUNNABLE | WOKEN | (p + 1) << 4); }
    changes(when, v, state) { this.vcpus[v].lane.push(when, state); }
    loses(when, p, count, span) {
        const from = Math.max(when - span, 0), lane = this.lane(p), v = lane.last() - 1;
        if (v >= 0) {
            lane.push(Math.max(from, lane.times[lane.count - 1]), NOBODY);
            const own = this.vcpus[v].lane;
            if (own.last() === (RUNNING | (p + 1) << 4))
                own.push(Math.max(from, own.times[own.count - 1]), UNKNOWN);
        }
        this.losses.push({ pcpu: p, from, to: when, count });
    }
    marks(when, kind, who, value) {
        const plain = value => value % 2 ? -(value + 1) / 2 : value / 2;
        if (kind === 6) {
            (this.queues[who] ??= new Lane()).push(when, value);
            return;
        }
        this.vcpus[who].marks.push({ when, kind, value: kind === 3 || kind === 4 ? plain(value) : value });
    }
    finish() {
        for (const lane of [...this.lanes, ...this.queues, ...this.vcpus.map(v => v.lane)])
            if (lane)
                lane.end = this.length;
    }

    // ------------------------------------------------------------------------------------------------------------ questions
    // The last mark of that kind at or before a time.
    mark(v, kind, when, since = 0) {
        let low = 0, high = v.marks.length;
        while (low < high) {
            const middle = (low + high) >>> 1;
            if (v.marks[middle].when <= when)
                low = middle + 1;
            else
                high = middle;
        }
        for (let i = low - 1; i >= 0 && v.marks[i].when >= since; --i)
            if (v.marks[i].kind === kind)
                return v.marks[i];
        return null;
    }
    // Who is on a pCPU at that time; null: nobody is known.
    occupant(p, when) {
        const lane = this.lanes[p], i = lane ? lane.find(when) : -1;
        return i < 0 || lane.codes[i] === NOBODY ? null : this.vcpus[lane.codes[i] - 1];
    }
    // The interval of a vCPU, in words that details and tips need.
    interval(v, i) {
        const lane = v.lane, code = lane.codes[i];
        return { vcpu: v, i, from: lane.times[i], to: lane.until(i), state: code & 7, woken: (code & WOKEN) !== 0, pcpu: (code >> 4) - 1, isLast: i + 1 === lane.count };
    }
    // Calls use(v, i) for each wait after a wake-up that ends with running, and begins within the span.
    forWakes(vcpus, from, to, use) {
        for (const v of vcpus) {
            const { times, codes, count } = v.lane;
            for (let i = Math.max(0, v.lane.find(from)); i + 1 < count && times[i] < to; ++i)
                if ((codes[i] & 15) === (RUNNABLE | WOKEN) && (codes[i + 1] & 7) === RUNNING && times[i] >= from)
                    use(v, i);
        }
    }
    // Waits of any kind that are longer, in the order of time.
    longWaits(vcpus, atLeast) {
        const found = [];
        for (const v of vcpus)
            for (let i = 0; i < v.lane.count; ++i)
                if ((v.lane.codes[i] & 7) === RUNNABLE && v.lane.until(i) - v.lane.times[i] > atLeast)
                    found.push(this.interval(v, i));
        return found.sort((a, b) => a.from - b.from);
    }
}

async function loadModel() {
    const about = JSON.parse(document.getElementById("about").textContent);
    const model = new Model(about);
    readSteps(await unpack(document.querySelectorAll("script.stream")), model);
    model.finish();
    return model;
}
