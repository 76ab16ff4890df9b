import type { Place } from "../../data/files/json-place.js";
import { CheckpointError } from "../../errors.js";

/** For a text that has what no token stands for, where the tokenizer has no token for that either. */
export function missingUnknown({ file }: Place): () => never {
  return () => {
    throw new CheckpointError(
      `${file}: the text has characters that no token stands for, and the vocabulary has no token for unknown ones`,
    );
  };
}
