/**
 * Exponential and logarithm from additions, multiplications and divisions alone. Those are exact in every engine, while
 * `Math.exp` and its like may differ in the last bit from one to the next; what is generated must not.
 */

const ln2 = 0.6931471805599453;

/** e^x for |x| <= 700; its relative error is about 1e-16 (1 + |x|). */
export function exp(x: number): number {
  const powers = Math.round(x / ln2);
  const rest = x - powers * ln2;
  let sum = 1;
  for (let i = 18; i > 0; i--) sum = 1 + (rest * sum) / i;
  for (let i = powers; i > 0; i--) sum *= 2;
  for (let i = powers; i < 0; i++) sum /= 2;
  return sum;
}

/** Natural logarithm of a positive, finite number. */
export function log(x: number): number {
  let powers = 0;
  let rest = x;
  for (; rest > 1.5; rest /= 2) powers++;
  for (; rest < 0.75; rest *= 2) powers--;
  const ratio = (rest - 1) / (rest + 1); // ln rest = 2 artanh ratio, and |ratio| <= 0.2
  const square = ratio * ratio;
  let sum = 0;
  for (let i = 25; i > 0; i -= 2) sum = 1 / i + square * sum;
  return powers * ln2 + 2 * ratio * sum;
}

/** `1, 2^-s, 3^-s, ...` divided by their sum. */
export function zipf(count: number, exponent: number): Float64Array {
  const weights = Float64Array.from({ length: count }, (_, i) => exp(-exponent * log(i + 1)));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}
