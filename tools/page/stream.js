// The trace's numbers, out of the page: unpacks what `nv trace html` packed (docs/traces.md, "The page's stream") and calls
// the model for each step, in the order of time. tools/nv/page.cpp is the other half.

async function unpack(elements) {
    const unpacker = new DecompressionStream("deflate");
    const writer = unpacker.writable.getWriter();
    const feed = (async () => {
        for (const element of elements) {
            const text = atob(element.textContent);
            const bytes = new Uint8Array(text.length);
            for (let i = 0; i < text.length; ++i)
                bytes[i] = text.charCodeAt(i);
            element.remove();
            await writer.write(bytes);
        }
        await writer.close();
    })();
    const parts = [];
    let size = 0;
    const reader = unpacker.readable.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
        parts.push(part.value);
        size += part.value.length;
    }
    await feed;
    const all = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
        all.set(part, at);
        at += part.length;
    }
    return all;
}

// Calls sink[kind](when, ...) for each step: times in ns since the page's begin, as doubles (exact for 104 days).
function readSteps(bytes, sink) {
    let at = 0, when = 0;
    const number = () => {
        let byte = bytes[at++], value = byte & 127, scale = 128;
        while (byte > 127) {
            byte = bytes[at++];
            value += (byte & 127) * scale;
            scale *= 128;
        }
        return value;
    };
    while (at < bytes.length) {
        const head = number();
        const kind = head % 8;
        when += (head - kind) / 8;
        switch (kind) {
        case 0: sink.arrives(when, number(), number()); break;
        case 1: case 2: case 3: sink.leaves(when, number(), number(), kind); break;
        case 4: sink.wakes(when, number(), number()); break;
        case 5: sink.changes(when, number(), number()); break;
        case 6: sink.loses(when, number(), number(), number()); break;
        default: sink.marks(when, number(), number(), number()); break;
        }
    }
}
