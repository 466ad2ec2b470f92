// Files that are named like images and will be refused, by their first bytes. Others are left to the server.

// Beginnings of the formats that can be read: [offset, bytes]; DICOM also without its preamble.
const READABLE = [
  [128, "DICM"],
  [0, "\x02\0"],
  [0, "\x08\0"],
  [0, "\0\x08"],
  [0, "\x89PNG"],
  [0, "\xff\xd8\xff"],
  [0, "II*\0"],
  [0, "MM\0*"],
  [0, "II+\0"],
  [0, "MM\0+"],
  [0, "BM"],
  [0, "P5"],
  [0, "P2"],
];
const BYTES = 132;

// Return "empty", "foreign", or null for a file that may be an image.
export async function objection(source) {
  if (!/\.(dcm|dicom|dic|png|jpe?g|tiff?|bmp|pgm)$/i.test(source.name)) return null;
  if (source.size === 0) return "empty";
  const bytes = new Uint8Array(await (await source.beginning(BYTES)).arrayBuffer());
  const head = String.fromCharCode(...bytes);
  return READABLE.some(([from, magic]) => head.startsWith(magic, from)) ? null : "foreign";
}
