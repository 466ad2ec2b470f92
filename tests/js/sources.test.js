// Files of an upload, also within ZIP archives that the browser unpacks (static/js/upload/sources.js), and wrong ones.
import assert from "node:assert/strict";
import { File } from "node:buffer";
import { test } from "node:test";
import { crc32, deflateRawSync } from "node:zlib";

import { objection } from "../../static/js/upload/objections.js";
import { checksum, entriesOf, mayBeImage, sourceOf } from "../../static/js/upload/sources.js";

const PIXELS = Buffer.from(Array.from({ length: 200_000 }, (_, place) => (place * place) % 251));

// Entries are [path, content, options]: method 0 or 8, and what is written instead of the truth.
function zipped(...entries) {
  const [files, directory] = [[], []];
  let start = 0;
  for (const [
    path,
    content,
    { method = 8, flags = 0, check = crc32(content), size = content.length } = {},
  ] of entries) {
    const [name, packed] = [Buffer.from(path), method === 8 ? deflateRawSync(content) : content];
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(method, 4);
    common.writeUInt32LE(check, 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(size, 18);
    common.writeUInt16LE(name.length, 22);
    files.push(Buffer.from("PK\x03\x04"), common, name, packed);
    const further = Buffer.alloc(14);
    further.writeUInt32LE(start, 10);
    directory.push(Buffer.from("PK\x01\x02\x14\0"), common, further, name);
    start += 30 + name.length + packed.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(listed.length, 8);
  end.writeUInt32LE(start, 12);
  return new File([...files, listed, Buffer.from("PK\x05\x06"), end], "study.zip");
}

const bytes = async (blob) => Buffer.from(await blob.arrayBuffer());

test("the images of an archive are files by themselves", async () => {
  const archive = zipped(
    ["a/IM1", PIXELS],
    ["a/IM2", PIXELS, { method: 0 }],
    ["DICOMDIR", PIXELS],
    ["__MACOSX/._x", PIXELS],
    ["a/", Buffer.alloc(0)],
  );
  const found = await entriesOf(archive, 10);
  assert.deepEqual(
    found.map((one) => [one.name, one.path, one.size]),
    [
      ["IM1", "a/IM1", PIXELS.length],
      ["IM2", "a/IM2", PIXELS.length],
    ],
  );
  for (const one of found) {
    assert.deepEqual(await bytes(await one.beginning(1000)), PIXELS.subarray(0, 1000));
    assert.deepEqual(await bytes(await one.whole()), PIXELS);
  }
  assert.equal(new Set(found.map((one) => one.key)).size, 2);
});

test("what the browser cannot unpack is left to the server", async () => {
  for (const entries of [
    [["a.zip", PIXELS]],
    [["a", PIXELS, { method: 12 }]],
    [["a", PIXELS, { flags: 1 }]],
    [["readme.txt", PIXELS]],
  ]) {
    assert.equal(await entriesOf(zipped(...entries), 10), null);
  }
  const two = zipped(["a", PIXELS], ["b", PIXELS]);
  assert.equal(await entriesOf(two, 1), null);
  assert.equal(await entriesOf(new File([PIXELS], "x.zip"), 10), null);
  assert.equal(await entriesOf(new File([PIXELS], "x.dcm"), 10), null);
});

test("a damaged or oversized member is not sent", async () => {
  for (const options of [{ check: 1 }, { size: PIXELS.length - 1 }, { size: PIXELS.length + 1 }]) {
    const [one] = await entriesOf(zipped(["a", PIXELS, options]), 10);
    await assert.rejects(one.whole());
  }
});

test("checksums are those of ZIP archives", () => {
  assert.equal(checksum([PIXELS.subarray(0, 7), PIXELS.subarray(7)]), crc32(PIXELS));
});

test("files beside images are passed over", () => {
  for (const path of ["DICOMDIR", "cd/DICOMDIR", ".hidden", "a/.DS_Store", "notes.TXT", "__MACOSX/a"]) {
    assert.ok(!mayBeImage(path), path);
  }
  for (const path of ["IM1", "a/b.dcm", "scan.png", "study.zip"]) assert.ok(mayBeImage(path), path);
});

test("wrong files are known by their first bytes", async () => {
  const reason = (content, name) => objection(sourceOf(new File([content], name)));
  assert.equal(await reason("a letter", "a.dcm"), "foreign");
  assert.equal(await reason("", "a.png"), "empty");
  assert.equal(await reason("a letter", "letter"), null); // left to the server
  assert.equal(await reason(`${"\0".repeat(128)}DICM`, "a.dcm"), null);
  assert.equal(await reason("\x89PNG", "a.png"), "foreign"); // its first byte in UTF-8 is none of PNG's
  assert.equal(await reason(Buffer.from([0x89, 0x50, 0x4e, 0x47]), "a.png"), null);
});
