"""The page of `nv trace html` in headless Chromium: for scripts/run-tests.

Each gate takes the Tests of run-tests, a fail(text) that raises and a folder, and returns how many things it found right.
What the page must show is taken from the independently computed figures of tests/traces, and from `nv trace dump`."""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/page"), str(ROOT / "tests/traces")]
import browser
import exports

READY = "document.documentElement?.dataset.ready === 'yes' && document.querySelector('#details').childElementCount > 0"
RECORDS, MOST_BYTES, MOST_SECONDS = 1_000_000, 10 << 20, 3.0


class Checks:
    def __init__(self, fail):
        self.fail, self.count = fail, 0

    def __call__(self, condition, text):
        if not condition:
            self.fail(text)
        self.count += 1


def open_page(page):
    opened = browser.Browser()
    opened.open(page)
    opened.until(READY)
    return opened


def million(tests, fail, folder):
    """A page of a million records: small, and open in three seconds of processor time, the browser's own start among them."""
    check = Checks(fail)
    short, _ = exports.real_trace(folder, "pp-soft")
    trace = short.with_name("long.xentrace")
    tests.run(ROOT / "tests/traces/repeat", "--times", 2, short, trace)
    trace.with_suffix(".facts.json").write_bytes(short.with_suffix(".facts.json").read_bytes())
    page = trace.with_suffix(".html")
    exports.export(tests, fail, "html", trace, page)
    check(page.stat().st_size <= MOST_BYTES, f"the page weighs {page.stat().st_size} bytes")
    with open_page(page) as seen:
        seconds = browser.processor_seconds(seen.process.pid)
        records = seen.run("timeline.model.about.records")
    check(records >= RECORDS, f"only {records} records are in the page")
    check(seconds <= MOST_SECONDS, f"the page took {seconds:.2f} s of processor time to open")
    print(f"{records} records: {page.stat().st_size} bytes, open after {seconds:.2f} s of processor time", file=sys.stderr)
    return check.count


def lossless(check, seen, told):
    """Every run state is an interval of its vCPU, sums over any span are what the intervals say, and none is too short to see."""
    changes = collections.Counter()
    for _, event, words in told:
        if re.fullmatch(r"(running|runnable|blocked|offline)_to_\w+", event):
            changes[words[0]] += 1
    counts = seen.run("Object.fromEntries(timeline.model.vcpus.map(v => [v.name, v.lane.count]))")
    for vcpu, count in changes.items():
        # A run that a trace begins with is an interval without a change.
        check(count <= counts[vcpu] <= count + 1, f"{vcpu} has {counts[vcpu]} intervals, {count} changes are in the trace")
    difference = seen.run("""(() => {
        const model = timeline.model, views = timeline.makeViews(model, "home", null), random = (s => () => (s = s * 48271 % 2147483647) / 2147483647)(7);
        let worst = 0;
        for (let n = 0; n < 3000; ++n) {
            const v = model.guests[Math.floor(random() * model.guests.length)], lane = v.lane, view = views.vcpu[v.index];
            const from = random() * model.length, to = from + random() ** 4 * (model.length - from);
            const fast = new Float64Array(view.size), slow = new Float64Array(view.size);
            lane.addSpan(view, from, to, fast);
            for (let i = 0; i < lane.count; ++i)
                slow[view.of(lane.codes[i])] += Math.max(0, Math.min(to, lane.until(i)) - Math.max(from, lane.times[i]));
            fast.forEach((x, c) => { worst = Math.max(worst, Math.abs(x - slow[c])); });
        }
        return worst;
    })()""")
    check(difference < 1, f"sums over spans are off by up to {difference} ns")
    # The whole trace on a screen: each run of a vCPU that mostly sleeps must have left its colour at its place.
    missing = seen.run("""(() => {
        timeline.show(0, timeline.model.length, 0);
        timeline.paint();
        const row = timeline.rows.find(r => r.name === "d0v0"), context = timeline.canvas.getContext("2d"), free = timeline.palette.colours[timeline.FREE];
        const wanted = [1, 3, 5].map(i => parseInt(free.slice(i, i + 2), 16)), { lane } = row;
        let missing = 0, runs = 0;
        for (let i = 0; i < lane.count; ++i) {
            if ((lane.codes[i] & 7) !== 0)
                continue;
            ++runs;
            const x = Math.floor(timeline.x(lane.times[i])), y = row.y - timeline.top;
            const pixels = context.getImageData(x - 1, y, 3, row.height).data;
            let seen = false;
            for (let p = 0; p < pixels.length; p += 4)
                seen ||= wanted.every((w, c) => Math.abs(pixels[p + c] - w) < 40);
            missing += seen ? 0 : 1;
        }
        return runs === 0 ? -1 : missing;
    })()""")
    check(missing == 0, f"{missing} runs of d0v0 cannot be seen")


def figures(check, seen, wanted, told):
    """The panels say what was computed independently."""
    text = seen.run("document.querySelector('#details').innerText")
    home = float(re.search(r"([\d.]+) % of the run time", text)[1])
    check(abs(home - 100 * wanted["home_node_fraction"]) <= 0.6, f"{home} % at home, wanted {100 * wanted['home_node_fraction']:.1f}")
    wakes = int(re.search(r"all VMs: (\d+)", seen.run("document.querySelector('#latency .sub').textContent"))[1])
    counted = sum(v["nwake"] for v in wanted["per_vcpu"].values())
    check(wakes == counted, f"{wakes} wake-ups in the histogram, wanted {counted}")
    cells = seen.run("[...document.querySelectorAll('#heat tbody tr')].map(r => [r.cells[0].textContent, ...[...r.cells].slice(1).map(c => parseFloat(c.textContent))])")
    check(len(cells) == 7 and all(abs(sum(row[1:]) - 100) <= 1.1 for row in cells), f"rows of the heat map do not add up: {cells}")


def hands(check, seen):
    """What a person does: zoom, search, a vCPU, a wait."""
    span = lambda: seen.run("timeline.to - timeline.from")
    middle = seen.run("(() => { const r = document.querySelector('#plot').getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()")
    whole = span()
    seen.mouse("mouseWheel", *middle, deltaX=0, deltaY=-400, modifiers=2)
    seen.until(f"timeline.to - timeline.from < {whole} / 1.5")
    before = span()
    seen.click_on("#closer")
    seen.until(f"timeline.to - timeline.from < {before} * 0.6")
    place = seen.run("timeline.from")
    seen.mouse("mousePressed", *middle, button="left", clickCount=1)
    seen.mouse("mouseMoved", middle[0] - 200, middle[1], button="left", buttons=1)
    seen.mouse("mouseReleased", middle[0] - 200, middle[1], button="left", clickCount=1)
    check(seen.run("timeline.from") > place, "dragging does not move the timeline")
    seen.run("new Promise(done => setTimeout(done, 100))")  # a click right after a drag is a part of it
    seen.click_on("#whole")
    seen.until(f"timeline.to - timeline.from > {whole} * 0.999")
    check(True, "")
    seen.click_on("#search")
    seen.type("d1v0")
    seen.press("Enter")
    check(seen.run("timeline.picked?.name") == "d1v0", "the search does not find d1v0")
    check("d1v0" in seen.run("document.querySelector('#details').innerText"), "the panel does not tell of d1v0")
    # The longest wait of d2v1: found on the plot, clicked, told.
    seen.run("document.querySelector('#search').blur(); timeline.scroller.scrollTop = 0")
    seen.until("timeline.top === timeline.scroller.scrollTop")  # it hears of that later, and then rows lie elsewhere
    seen.run("""(() => { const v = timeline.model.guests.find(v => v.name === "d2v1"); window.wait = timeline.model.longWaits([v], 0).sort((a, b) => (b.to - b.from) - (a.to - a.from))[0];
        timeline.show(wait.from, wait.to, 2); })()""")
    spot = seen.run("""(() => { const row = timeline.rows.find(r => r.name === "d2v1"), r = timeline.plot.getBoundingClientRect();
        return [r.x + timeline.x((wait.from + wait.to) / 2), r.y + row.y - timeline.top + row.height / 2]; })()""")
    seen.mouse("mouseMoved", *spot)
    tip = seen.run("document.querySelector('#tip').hidden ? '' : document.querySelector('#tip').innerText")
    check("d2v1 waits" in tip and "idle and allowed" in tip, f"the tip does not tell of the wait: {tip!r}")
    seen.click(*spot)
    text = seen.run("document.querySelector('#details').innerText")
    check("d2v1 waits" in text and re.search(r"preempted|woken", text), f"the panel does not tell of the wait: {text!r}")
    seen.press("Escape")
    check(seen.run("timeline.picked") is None, "Escape does not let go")
    seen.click_on("#search")
    seen.run("document.querySelector('#search').value = ''")
    seen.type("wait > 1 ms")
    seen.press("Enter")
    check(re.fullmatch(r"1 of \d+", seen.run("document.querySelector('#found').textContent")), "the search finds no wait")
    seen.click_on("#by-vm")
    check(seen.run("document.querySelector('#by-vm').getAttribute('aria-pressed')") == "true", "colours do not go by VM")
    theme = seen.run("document.documentElement.dataset.theme")
    seen.click_on("#theme")
    check(seen.run("document.documentElement.dataset.theme") != theme, "light and dark do not change")
    seen.run("new Promise(done => setTimeout(done, 300))")
    check(not seen.complaints, f"the page complains: {seen.complaints[:2]}")


def clicks(tests, fail, folder):
    """A page of a real host's trace, held to that host's figures and used as a person would."""
    check = Checks(fail)
    trace, wanted = exports.real_trace(folder, "over-soft")
    page = trace.with_suffix(".html")
    exports.export(tests, fail, "html", trace, page)
    told = exports.dumped(tests, trace)
    with open_page(page) as seen:
        figures(check, seen, wanted, told)
        lossless(check, seen, told)
        hands(check, seen)
    return check.count
