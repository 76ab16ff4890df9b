/** The printable character that byte-level tokenizers write for each byte: its own, or one from U+0100 on. */
export const characterOfByte: readonly string[] = (() => {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(isPrintable(byte) ? byte : next++),
  );
})();

const byteOfCharacter = new Map(characterOfByte.map((character, byte) => [character, byte]));
const encoder = new TextEncoder();
const asciiPrintable = /^[!-~]*$/;

/** The UTF-8 bytes of a text, each as its character. A surrogate without its other half is U+FFFD. */
export function byteCharacters(text: string): string {
  if (asciiPrintable.test(text)) return text;
  let characters = "";
  for (const byte of encoder.encode(text)) characters += characterOfByte[byte]!;
  return characters;
}

/** The bytes that a token stands for; those of its UTF-8 where it is not written in such characters. */
export function bytesOfCharacters(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter.get(token[i]!);
    if (byte === undefined) return encoder.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}

/** `<0x0A>`, the name of a byte in tokenizers of SentencePiece. */
export function byteTokens(text: string): string[] {
  return Array.from(
    encoder.encode(text),
    (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
}
