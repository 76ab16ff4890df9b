const spaceBefore: readonly (readonly [RegExp, string])[] = [
  [/ \./g, "."],
  [/ \?/g, "?"],
  [/ !/g, "!"],
  [/ ,/g, ","],
  [/ ' /g, "'"],
  [/ n't/g, "n't"],
  [/ 'm/g, "'m"],
  [/ 's/g, "'s"],
  [/ 've/g, "'ve"],
  [/ 're/g, "'re"],
];

/** What the decoder of WordPiece does to each token: as {@link cleanUp}, with one contraction more. */
export function cleanUpToken(token: string): string {
  return cleanUp(token.replace(/ do not/g, " don't"));
}

/** Takes away the spaces that tokenizers of words leave before signs: `clean_up_tokenization_spaces`. */
export function cleanUp(text: string): string {
  return spaceBefore.reduce((result, [sign, bare]) => result.replace(sign, bare), text);
}

/** Every rule begins with a space and has up to three more characters. */
const reach = 3;

/**
 * How much of a text can be cleaned up before the rest is known: up to where the last three characters hold no space. No
 * rule reaches across, and none can after others have been applied, since they take away spaces only.
 */
export function finishedLength(text: string): number {
  for (let end = text.length; end > 0; ) {
    const lastSpace = text.lastIndexOf(" ", end - 1);
    if (lastSpace < 0 || lastSpace < end - reach) return end;
    end = lastSpace;
  }
  return 0;
}
