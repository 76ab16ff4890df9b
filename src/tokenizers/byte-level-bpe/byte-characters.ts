/**
 * The character that stands for each byte in the tokens of a byte-level vocabulary: printable ones for themselves, the
 * others, in order, for U+0100 and on.
 *
 * @see Radford et al., "Language models are unsupervised multitask learners", 2019: `bytes_to_unicode`
 */
export const byteCharacters: readonly string[] = characters();

function characters(): string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(isPrintable(byte) ? byte : 0x100 + others++),
  );
}
