/** A step from tokens to text. What it gives out is final. */
export interface DecodingStep {
  push(token: string): string[];
  /** What it held back. */
  end(): string[];
}

/** A step that looks at one token at a time. */
export function perToken(decode: (token: string, isFirst: boolean) => string): DecodingStep {
  let isFirst = true;
  return {
    push: (token) => {
      const text = decode(token, isFirst);
      isFirst = false;
      return [text];
    },
    end: () => [],
  };
}

/** A step for tokens, applied to a text that comes in parts: it sees the whole as a single token, so it waits for it. */
export function fused(step: DecodingStep): DecodingStep {
  let text: string | undefined;
  return {
    push: (part) => {
      text = (text ?? "") + part;
      return [];
    },
    end: () => [...(text === undefined ? [] : step.push(text)), ...step.end()],
  };
}

/** Steps one after the other, as one that gives out text. */
export class Decoding {
  constructor(readonly steps: readonly DecodingStep[]) {}

  push(token: string): string {
    return this.#through([token], 0).join("");
  }

  end(): string {
    let text = "";
    this.steps.forEach((step, i) => {
      text += this.#through(step.end(), i + 1).join("");
    });
    return text;
  }

  #through(tokens: string[], from: number): string[] {
    let current = tokens;
    for (let i = from; i < this.steps.length && current.length > 0; i++) {
      const step = this.steps[i]!;
      current = current.flatMap((token) => step.push(token));
    }
    return current;
  }
}
