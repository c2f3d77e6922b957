// nn in JavaScript: loads build/nn.wasm, whose calls are those of data/play.c. For other people's
// pages and for node (see the README); data/play.html has it inside.
export async function load(wasm) {
  const { instance } = await WebAssembly.instantiate(wasm);
  const c = instance.exports; // nn's calls; pointers are numbers
  c._initialize();
  const view = (Type, at, count) => new Type(c.memory.buffer, at, count);
  const text = at => {
    const bytes = view(Uint8Array, at);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  };
  const must = result => { // a pointer or a status
    if (!result || result < 0) throw new Error(text(c.play_error()));
    return result;
  };
  const give = bytes => { // a copy inside, for c.play_free
    const at = c.play_room(bytes.length);
    if (!at) throw new Error('out of memory');
    view(Uint8Array, at, bytes.length).set(bytes);
    return at;
  };
  // What c.play_open and c.play_make return, as an object.
  const wrap = at => {
    const inputs = c.play_inputs(at), count = c.play_classes(at), note = c.play_note(at, key);
    const names = note ? text(note).split('\n') : [];
    return { at, inputs, batch: c.play_batch(at),
      classes: Array.from({ length: count }, (_, k) => names[k] || String(k)),
      run(samples) { // [n, inputs] numbers, pixels 0 .. 1: probabilities [n, classes]
        const n = samples.length / inputs;
        if (!Number.isInteger(n) || n < 1 || n > this.batch)
          throw new Error(`${samples.length} numbers are not 1 .. ${this.batch} samples of ${inputs}`);
        view(Float32Array, c.play_x(at), samples.length).set(samples);
        if (c.play_run(at, n) < 0) must(0);
        return view(Float32Array, c.play_answer(at), n * count).slice();
      },
      close() { c.play_close(at); } };
  };
  const key = give(new TextEncoder().encode('classes\0'));
  // The net of a .nn file's bytes, for `batch` samples a call; looks: 1 to see inside (data/play.c).
  const open = (bytes, batch = 1, looks = 0) => {
    const room = give(bytes), at = c.play_open(room, bytes.length, batch, looks);
    c.play_free(room);
    return wrap(must(at));
  };
  return { c, view, text, must, give, wrap, open };
}
