// Painting lanes: what a pixel's time was spent with, exactly.
//
// An interval that reaches over the edge of a pixel is painted from edge to edge. Where shorter ones meet, the column is a
// stack: each category as high as its share of the column's time, and at least one pixel, so that no state ever vanishes.

const [NOTHING, IDLE, HOME, AWAY, FREE, WAITING, ASLEEP, OFF, OTHER, LOST, FIRST_VM] = Array(11).keys();
const VM_COLOURS = 10, CATEGORIES = FIRST_VM + VM_COLOURS;
const STACK = [HOME, AWAY, FREE, ...Array.from({ length: VM_COLOURS }, (_, i) => FIRST_VM + i), OTHER, WAITING, LOST]; // from below

function readPalette() {
    const style = getComputedStyle(document.documentElement);
    const named = name => style.getPropertyValue(`--${name}`).trim();
    const colours = [];
    colours[HOME] = named("home");
    colours[AWAY] = named("away");
    colours[FREE] = named("free");
    colours[WAITING] = named("waiting");
    colours[ASLEEP] = named("blocked");
    colours[OTHER] = named("other");
    colours[LOST] = named("lost");
    for (let i = 0; i < VM_COLOURS; ++i)
        colours[FIRST_VM + i] = named(`vm${i}`);
    return { colours, ...Object.fromEntries(["page", "panel", "ink", "soft", "faint", "line", "row", "group", "accent", "arrow", "on"].map(n => [n, named(n)])) };
}

// How codes become categories: by home or by VM; whoever is picked keeps colours, others lose them.
function makeViews(model, by, picked) {
    const running = (v, p) => {
        if (by === "vm")
            return FIRST_VM + model.domains.indexOf(v.domain) % VM_COLOURS;
        const home = model.isHome(v, p);
        return home === null ? FREE : home ? HOME : AWAY;
    };
    const key = `${by}:${picked ? picked.map(v => v.index).join() : ""}`;
    const shown = new Set(picked ?? model.guests);
    const isOnPcpu = p => {
        const table = new Uint8Array(model.vcpus.length + 1);
        for (const v of model.vcpus)
            table[v.index + 1] = v.isIdle ? IDLE : shown.has(v) ? running(v, p) : OTHER;
        return { key, size: CATEGORIES, of: code => table[code] };
    };
    const isOfVcpu = v => {
        const table = model.pcpus.reduce((t, p) => (t[p + 1] = running(v, p), t), []);
        const states = [0, WAITING, ASLEEP, OFF, NOTHING];
        return { key: by, size: CATEGORIES, of: code => (code & 7) === RUNNING ? table[code >> 4] ?? FREE : states[code & 7] };
    };
    return { pcpu: model.lanes.map((_, p) => isOnPcpu(p)), vcpu: model.vcpus.map(isOfVcpu) };
}

// Paints one lane into a band of a canvas. `scale`: pixels per ns; `from`: the time at pixel x0.
class LanePainter {
    constructor(context, colours) {
        this.context = context;
        this.colours = colours;
        this.sums = new Float64Array(CATEGORIES);
    }

    paint(lane, view, from, scale, x0, width, y, height, label) {
        const end = from + width / scale, edge = x0 + width, xOf = when => Math.min(edge, Math.max(x0, x0 + (when - from) * scale));
        let x = x0; // what is left of it is painted
        for (let i = Math.max(0, lane.find(from)); i < lane.count && lane.times[i] < end;) {
            const left = xOf(lane.times[i]), right = Math.round(xOf(lane.until(i)));
            if (right > Math.round(left)) {
                if (right > x)
                    this.wide(view.of(lane.codes[i]), Math.max(Math.round(left), x), right, y, height, label, lane.codes[i]);
                x = Math.max(x, right);
                ++i;
                continue;
            }
            const column = Math.min(Math.floor(left), edge - 1), begin = from + (column - x0) / scale;
            i = this.column(lane, view, i, begin, begin + 1 / scale, column, y, height, scale);
            x = Math.max(x, column + 1);
        }
    }

    // Stacks what the column's time was spent with. Returns the first interval that is not done with: a wide one that begins
    // here is painted by itself, too.
    column(lane, view, first, from, to, x, y, height, scale) {
        let past = lane.find(to) + 1;
        if (past - 1 > first && (lane.until(past - 1) - from) * scale >= 1)
            --past;
        this.sums.fill(0);
        lane.addSpan(view, from, Math.min(to, lane.end), this.sums);
        const span = to - from;
        if (this.sums[ASLEEP] > 0)
            this.wide(ASLEEP, x, x + 1, y, height);
        let base = y + height;
        for (const category of STACK) {
            const time = this.sums[category];
            if (time === 0)
                continue;
            const part = Math.min(Math.max(1, Math.round(height * time / span)), base - y);
            this.context.fillStyle = this.colours[category];
            this.context.fillRect(x, base - part, 1, part);
            base -= part;
        }
        return past;
    }

    wide(category, left, right, y, height, label, code) {
        const { context } = this;
        if (category === ASLEEP) {
            context.fillStyle = this.colours[ASLEEP];
            context.fillRect(left, y + Math.floor(height / 2) - 1, right - left, 2);
            return;
        }
        const colour = this.colours[category];
        if (!colour)
            return;
        context.fillStyle = colour;
        context.fillRect(left, y, right - left, height);
        if (right - left > 8) { // neighbours of one colour stay apart
            context.fillStyle = "#ffffff40";
            context.fillRect(left, y, 1, height);
        }
        const text = right - left > 34 ? label(code) : null;
        if (text && context.measureText(text).width < right - left - 8) {
            context.fillStyle = category === OTHER ? this.soft : "#ffffff";
            context.fillText(text, left + 5, y + height / 2 + 0.5);
        }
    }
}

// Seconds since the first stamp in as many digits as a step of `step` ns needs.
function formatTime(ns, step) {
    const digits = Math.min(9, Math.max(0, 9 - Math.floor(Math.log10(Math.max(step, 1)))));
    return `${(ns / 1e9).toFixed(digits)} s`;
}
function formatSpan(ns) {
    if (ns < 1000)
        return `${Math.round(ns)} ns`;
    const [value, unit] = ns < 1e6 ? [ns / 1e3, "µs"] : ns < 1e9 ? [ns / 1e6, "ms"] : [ns / 1e9, "s"];
    return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ${unit}`;
}
const percent = share => `${(100 * share).toFixed(share < 0.0995 && share > 0 ? 1 : 0)} %`;
