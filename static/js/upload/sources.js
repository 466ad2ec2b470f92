// Chosen files: as they are, or within a ZIP archive that the browser unpacks, so that each can be checked by itself.

const [END, ENTRY, LOCAL] = [0x06054b50, 0x02014b50, 0x04034b50];
const [END_SIZE, COMMENT_MAX, LOCAL_SIZE, ENTRY_SIZE] = [22, 0xffff, 30, 46];
const [STORED, DEFLATED] = [0, 8];
const WITHIN = /\.(zip|tar|t?gz)$/i; // archives in archives are left to the server

// Identify a file in a folder by its relative path: names such as IMG0001 repeat.
function pathOf(file) {
  return file.webkitRelativePath || file.name;
}

// Return the source of a file: name, path, size, key, beginning(count) and whole(), both of which promise a Blob.
export function sourceOf(file) {
  const path = pathOf(file);
  return {
    name: file.name,
    path,
    size: file.size,
    key: `${path} ${file.size} ${file.lastModified}`,
    beginning: async (count) => file.slice(0, count),
    whole: async () => file,
  };
}

// Files beside images on a disc or in a folder: DICOMDIR, notes, leftovers of file managers.
export function mayBeImage(path) {
  return !/(^|\/)(\.[^/]*|__MACOSX\/.*|DICOMDIR|[^/]*\.(txt|md|html?|pdf|xml|inf|exe|ini|db))$/i.test(path);
}

// Return the sources within a ZIP archive; null if it is none, or one that the server has to unpack.
export async function entriesOf(file, most) {
  if (typeof DecompressionStream === "undefined" || !/\.zip$/i.test(file.name)) return null;
  const directory = await directoryOf(file);
  if (directory === null) return null;
  const entries = listed(directory).filter((entry) => !entry.path.endsWith("/") && mayBeImage(entry.path));
  const readable = (entry) =>
    !(entry.flags & 1) && [STORED, DEFLATED].includes(entry.method) && !WITHIN.test(entry.path);
  if (entries.length === 0 || entries.length > most || !entries.every(readable)) return null;
  return entries.map((entry) => within(file, entry));
}

async function view(blob) {
  return new DataView(await blob.arrayBuffer());
}

// The directory of an archive; null if it has none within 4 GiB, as a ZIP64 file.
async function directoryOf(file) {
  const tail = await view(file.slice(Math.max(0, file.size - END_SIZE - COMMENT_MAX)));
  for (let at = tail.byteLength - END_SIZE; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END) continue;
    const [size, start] = [tail.getUint32(at + 12, true), tail.getUint32(at + 16, true)];
    return start + size <= file.size ? view(file.slice(start, start + size)) : null;
  }
  return null;
}

function listed(directory) {
  const found = [];
  for (let at = 0; at + ENTRY_SIZE <= directory.byteLength && directory.getUint32(at, true) === ENTRY; ) {
    const [name, extra, comment] = [28, 30, 32].map((place) => directory.getUint16(at + place, true));
    const bytes = new Uint8Array(directory.buffer, directory.byteOffset + at + ENTRY_SIZE, name);
    found.push({
      path: new TextDecoder().decode(bytes),
      flags: directory.getUint16(at + 8, true),
      method: directory.getUint16(at + 10, true),
      check: directory.getUint32(at + 16, true),
      packed: directory.getUint32(at + 20, true),
      size: directory.getUint32(at + 24, true),
      start: directory.getUint32(at + 42, true),
    });
    at += ENTRY_SIZE + name + extra + comment;
  }
  return found;
}

function within(archive, entry) {
  async function stream() {
    const header = await view(archive.slice(entry.start, entry.start + LOCAL_SIZE));
    if (header.byteLength < LOCAL_SIZE || header.getUint32(0, true) !== LOCAL) throw new Error("damaged");
    const start = entry.start + LOCAL_SIZE + header.getUint16(26, true) + header.getUint16(28, true);
    const packed = archive.slice(start, start + entry.packed).stream();
    return entry.method === STORED ? packed : packed.pipeThrough(new DecompressionStream("deflate-raw"));
  }

  // Read up to a number of bytes; never more than the directory declares, and one to notice that there is more.
  async function read(count) {
    const reader = (await stream()).getReader();
    const parts = [];
    let size = 0;
    while (size < count) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      size += value.length;
    }
    await reader.cancel();
    return { parts, size };
  }

  return {
    name: entry.path.split("/").pop(),
    path: entry.path,
    size: entry.size,
    key: `${archive.name} ${archive.lastModified} ${entry.path} ${entry.size}`,
    async beginning(count) {
      return new Blob((await read(Math.min(count, entry.size))).parts).slice(0, count);
    },
    async whole() {
      const { parts, size } = await read(entry.size + 1);
      if (size !== entry.size || checksum(parts) !== entry.check) throw new Error("damaged");
      return new Blob(parts);
    },
  };
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

// CRC-32 of bytes in parts.
export function checksum(parts) {
  let value = 0xffffffff;
  for (const part of parts) for (const byte of part) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
