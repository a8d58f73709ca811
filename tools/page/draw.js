// Painting lanes: what a pixel's time was spent with, exactly.
//
// An interval that is at least half a pixel wide in a column is painted where it lies. Where shorter ones meet, the column is
// a stack: each category as high as its share of the column's time, and at least one pixel, so that no state ever vanishes.

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
        const end = from + width / scale;
        let i = Math.max(0, lane.find(from));
        let x = x0 + Math.max(0, (lane.times[0] - from) * scale);
        while (i < lane.count && lane.times[i] < end && x < x0 + width) {
            const left = Math.max(x0, x0 + (lane.times[i] - from) * scale), right = Math.min(x0 + width, x0 + (lane.until(i) - from) * scale);
            if (right - left >= 0.5) {
                this.wide(view.of(lane.codes[i]), left, right, y, height, label, lane.codes[i]);
                x = right;
                ++i;
                continue;
            }
            // A column of short ones: up to its right edge, or to where a wide one begins.
            const column = Math.max(Math.floor(left), x0), columnEnd = from + (column + 1 - x0) / scale;
            const past = this.column(lane, view, i, Math.max(from, from + (column - x0) / scale), columnEnd, column, y, height, scale);
            i = past;
            x = column + 1;
        }
    }

    // Returns the first interval that is not done with.
    column(lane, view, first, from, to, x, y, height, scale) {
        let past = lane.find(to) + 1;
        // One that goes on beyond the column is painted by itself if it is wide; what it has of this column counts all the same.
        if (past - 1 > first && (lane.until(past - 1) - lane.times[past - 1]) * scale >= 0.5)
            --past;
        this.sums.fill(0);
        lane.addSpan(view, lane.times[first] < from ? from : lane.times[first], Math.min(to, lane.until(past - 1)), this.sums);
        const span = to - from;
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
