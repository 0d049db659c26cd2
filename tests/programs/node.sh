#!/usr/bin/env bash
# node works hard: objects, buffers outside of V8's heap, zlib, crypto, WebAssembly, worker threads that pass buffers
# on. What it prints must be equal to the byte.
# usage: node.sh HAKMEM_RUN [fast|full]      full: ten times as long
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

write_script() {
    cat <<'JAVASCRIPT'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib'), crypto = require('crypto'), assert = require('assert');
let seed = 5;
const random = below => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return (seed >>> 8) % below; };
const digest = data => crypto.createHash('sha256').update(data).digest('hex');
const text = size => { let all = ''; while (all.length < size) all += 'word' + random(1000) + ' '; return all; };

function buffers(rounds) {
    const kept = [];
    for (let i = 0; i < rounds; i++) {
        const buffer = Buffer.allocUnsafeSlow(1 + random(i % 50 ? 20000 : 3000000)).fill(i & 255);
        kept.push(buffer);
        if (kept.length > 100) kept.splice(random(kept.length), 3);
    }
    return digest(Buffer.concat(kept));
}

function compressed(rounds) {
    const results = [];
    for (let i = 0; i < rounds; i++) {
        const plain = Buffer.from(text(random(60000)));
        const quality = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: i % 7 } };
        const packed = [zlib.gzipSync(plain, { level: 1 + i % 9 }), zlib.deflateRawSync(plain),
            zlib.brotliCompressSync(plain, quality)];
        assert(plain.equals(zlib.gunzipSync(packed[0])) && plain.equals(zlib.inflateRawSync(packed[1])));
        assert(plain.equals(zlib.brotliDecompressSync(packed[2])));
        results.push(digest(Buffer.concat(packed)));
    }
    return digest(results.join());
}

function encrypted(rounds) {
    let data = Buffer.from(text(10000));
    for (let i = 0; i < rounds; i++) {
        const key = crypto.scryptSync('password', 'salt' + i, 32, { N: 256 });
        const cipher = crypto.createCipheriv('aes-256-gcm', key, Buffer.alloc(12, i));
        data = Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()]);
    }
    return digest(data);
}

function objects(rounds) {
    const map = new Map(), list = [];
    for (let i = 0; i < rounds; i++) {
        const nested = { list: Array.from({ length: random(20) }, () => random(9)) };
        map.set('key' + random(5000), { i, text: text(random(100)), nested });
        list.push([...text(30)].reverse().join('').replace(/(\d+)/g, (_, n) => '<' + n + '>'));
        if (i % 100 === 0) map.delete('key' + random(5000));
    }
    const json = JSON.stringify([...map].sort((a, b) => (a[0] < b[0] ? -1 : 1)));
    return digest(JSON.stringify(JSON.parse(json)) + list.join() + structuredClone(list).length);
}

// (module (memory (export "m") 1) (func (export "grow") (param i32) (result i32) local.get 0 memory.grow))
function wasm(rounds) {
    const module = new WebAssembly.Module(Buffer.from('0061736d0100000001060160017f017f03020100050301000107' +
        '0c02016d020004' + Buffer.from('grow').toString('hex') + '00000a08010600200040000b', 'hex'));
    let bytes = 0;
    for (let i = 0; i < rounds; i++) {
        const { m, grow } = new WebAssembly.Instance(module).exports;
        grow(random(20));
        new Uint8Array(m.buffer).fill(7);
        bytes += m.buffer.byteLength;
    }
    return bytes;
}

const scale = isMainThread ? Number(process.argv[2]) : workerData.scale;
if (isMainThread) {
    console.log('buffers', buffers(2000 * scale));
    console.log('zlib', compressed(30 * scale));
    console.log('crypto', encrypted(30 * scale));
    console.log('objects', objects(20000 * scale));
    console.log('wasm', wasm(50 * scale));
    const answers = Array.from({ length: 4 }, (_, i) => new Promise((resolve, reject) => {
        const buffer = new Uint8Array(1000000).fill(i + 1);
        new Worker(__filename, { workerData: { scale, seed: i, buffer }, transferList: [buffer.buffer] })
            .on('message', resolve).on('error', reject);
    }));
    const streamed = Array.from({ length: 20 }, (_, i) => new Promise((resolve, reject) =>
        zlib.deflate(Buffer.alloc(300000, i), (error, out) => (error ? reject(error) : resolve(digest(out))))));
    Promise.all([...answers, ...streamed]).then(all => console.log(all.map(a => a.hash ?? a).join('\n')));
} else {
    seed = workerData.seed;
    const hash = [digest(workerData.buffer), objects(3000 * scale), buffers(300 * scale), compressed(5 * scale)].join();
    const made = new Uint8Array(500000).fill(seed);
    parentPort.postMessage({ hash: hash + digest(made), made }, [made.buffer]);
}
JAVASCRIPT
}

work() {
    write_script >work.js
    "${on[@]}" node --expose-gc work.js "$1"
    "${on[@]}" node --check work.js
}

has_hakmem 1 node -e '[...Array(1000)].map(String)'
if [[ $extent == fast ]]; then
    compare 'once' work 1
else
    compare 'ten times as long' work 10
fi
finish
