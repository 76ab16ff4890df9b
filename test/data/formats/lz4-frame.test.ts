/** Frames written by the reference implementation (lz4 1.9), to be read back. */
import test from "ava";
import { decompressLz4Frame } from "../../../src/data/formats/lz4-frame.js";

let words = "";
for (let i = 0; i < 40; i++) words += `${(i * i * 7919) % 10_007} `;
let text = "";
for (let i = 0; text.length < 140_000; i++) text += words + (i % 17);

/** `lz4 -9 -B4`, three blocks. */
const frames = {
  /** `-BD`: blocks refer to those before. */
  linked:
    "BCJNGERAXhACAADwczAgNzkxOSAxNjU1IDEyMjIgNjYyMCA3ODQyIDQ4ODggNzc2NSA2NDY2IDk5MSAxMzQ3IDc1MzQgOTU0NSA3MzgwIDEwMzkgNTI5IDU4NTAgNjk5NSAzOTY0IDY3NjQgNTM4OCA5ODQzIDExNSA2MjI1IDgxNTkgNTkxNyA5NTA2IDh/APAJNDE1NiA1MjI0IDIxMTYgNDgzOSAzMzg2fwD/EjQgNzk2NiAzOTkyIDU4NDkgMzUzMCA3MDQyIDYzNzggMMMArx8xwwCvHzLDAK8fM8MArx80wwCvHzXDAK8fNsMArx83wwCvHzjDAK8fOdsGsQ/EALAPoAewHzGhB7AfMaIHsB8xowewHzGkB7AvMTb6DP///////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////+FQNTI5IDUKAQAAD/oM/////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////+hQMjExNiAtAAAAD/oM//////////////////////////////////////////////9YUDM3OCAyAAAAAHGexsQ=",
  /** `-BI -BX --content-size`: independent blocks with checksums, and the size in the header. */
  independent:
    "BCJNGHxATSMCAAAAAACaEAIAAPBzMCA3OTE5IDE2NTUgMTIyMiA2NjIwIDc4NDIgNDg4OCA3NzY1IDY0NjYgOTkxIDEzNDcgNzUzNCA5NTQ1IDczODAgMTAzOSA1MjkgNTg1MCA2OTk1IDM5NjQgNjc2NCA1Mzg4IDk4NDMgMTE1IDYyMjUgODE1OSA1OTE3IDk1MDYgOH8A8Ak0MTU2IDUyMjQgMjExNiA0ODM5IDMzODZ/AP8SNCA3OTY2IDM5OTIgNTg0OSAzNTMwIDcwNDIgNjM3OCAwwwCvHzHDAK8fMsMArx8zwwCvHzTDAK8fNcMArx82wwCvHzfDAK8fOMMArx852waxD8QAsA+gB7AfMaEHsB8xogewHzGjB7AfMaQHsC8xNvoM////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////4VA1MjkgNdzHKQoMAgAA8EU4NTAgNjk5NSAzOTY0IDY3NjQgNTM4OCA5ODQzIDExNSA2MjI1IDgxNTkgNTkxNyA5NTA2IDg5MTkgNDE1NiA1MjI0IDIxMTYgNDgzOSAzMzg2IDdFAPAUNzk2NiAzOTkyIDU4NDkgMzUzMCA3MDQyIDYzNzggMTIwIDdFAMAxNjU1IDEyMjIgNjYUAIA4NDIgNDg4OEUA/xo1IDY0NjYgOTkxIDEzNDcgNzUzNCA5NTQ1IDczODAgMTAzOSA1MjkgNcQAZB8zxACwHzTEALAfNcQAsB82xACvHzCHAbAPwwCvD1kFsA9YBbAPVwWwD1YFsA9VBbAfN8MArx84wwCvHznbBrEPxACwD6AHOg/6DP///////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////+FQMjExNiCowuYVMgEAAPA+NDgzOSAzMzg2IDc3NjQgNzk2NiAzOTkyIDU4NDkgMzUzMCA3MDQyIDYzNzggNzAgNzkxOSAxNjU1IDEyMjIgNjYyMCA3ODQyIDQ4ODhEAPApNSA2NDY2IDk5MSAxMzQ3IDc1MzQgOTU0NSA3MzgwIDEwMzkgNTI5IDU4NTAgNjk5NSAzOTY0IDZ+APAUNTM4OCA5ODQzIDExNSA2MjI1IDgxNTkgNTkxNyA5NTA2IDh/AP8ANDE1NiA1MjI0IDIxMTYgwwAaHzjDAK8fOcMAry8xMMQAsB8xxACwHzLEALAfM8QAsB80xACwHzXEALAfNsQArw9bBbEPwwCvD1kFsA9YBbAPVwWwD1YFsA9VBYMP+gz/////////////////////////////UVAzNzggMtbeKYkAAAAAcZ7GxA==",
  /** A block that did not get smaller is stored. */
  stored: "BCJNGGRApw4AAIBpbmNvbXByZXNzaWJsZQAAAAAGfIRt",
};

for (const [kind, frame, expected] of [
  ["linked", frames.linked, text],
  ["independent", frames.independent, text],
  ["stored", frames.stored, "incompressible"],
] as const) {
  test(`a frame of ${kind} blocks gives the text back`, (t) => {
    t.is(Buffer.from(decompressLz4Frame(Buffer.from(frame, "base64"))).toString(), expected);
  });

  test(`a frame of ${kind} blocks that is cut off anywhere is an error`, (t) => {
    const whole = Buffer.from(frame, "base64");
    // The last four bytes are a checksum that is not read.
    for (let length = 0; length < whole.length - 4; length += 7) {
      t.throws(() => decompressLz4Frame(whole.subarray(0, length)), { instanceOf: RangeError });
    }
  });
}

test("what is no frame, or points before its start, is an error", (t) => {
  t.throws(() => decompressLz4Frame(Buffer.from("not a frame at all")), {
    message: /no LZ4 frame/,
  });
  const wild = Buffer.from(frames.stored, "base64");
  wild.writeUInt32LE(14, 7); // the stored block as a compressed one: its first byte asks for six literals
  t.throws(() => decompressLz4Frame(wild), { message: /broken/ });
});
