const bars = "▁▂▃▄▅▆▇█";

/** A curve in a line of text, a column each: the mean of what falls into it. Columns without a finite number are `·`. */
export function sparkline(values: readonly number[], columns: number): string {
  const width = Math.min(columns, values.length);
  const means = Array.from({ length: width }, (_, column) => {
    const from = Math.floor((column * values.length) / width);
    const to = Math.floor(((column + 1) * values.length) / width);
    const finite = values.slice(from, to).filter(Number.isFinite);
    return finite.reduce((sum, value) => sum + value, 0) / finite.length;
  });
  const finite = means.filter(Number.isFinite);
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  return means
    .map((mean) => {
      if (!Number.isFinite(mean)) return "·";
      // Halves, as the difference of two huge numbers is none.
      const height = high === low ? 0.5 : (mean / 2 - low / 2) / (high / 2 - low / 2);
      return bars[Math.min(bars.length - 1, Math.floor(height * bars.length))];
    })
    .join("");
}
