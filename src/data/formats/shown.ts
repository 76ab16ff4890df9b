const longestShown = 40; // characters
const mostNamesShown = 50;

/** A value of a raw file as an error message shows it: short, on one line, and never walked into. */
export function shown(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  switch (typeof value) {
    case "string": {
      const short = value.length > longestShown ? `${value.slice(0, longestShown)}…` : value;
      return JSON.stringify(short);
    }
    case "object":
      return "an object";
    case "function":
      return "a function";
    case "symbol":
      return "a symbol";
    default:
      return String(value);
  }
}

/** Names of columns as an error message lists them: as many as somebody may want to read. */
export function shownNames(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const few = names.slice(0, mostNamesShown).map(shown).join(", ");
  const others = names.length - mostNamesShown;
  return others > 0 ? `${few} and ${others} more` : few;
}
