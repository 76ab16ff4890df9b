import test from "ava";
import { genresOf } from "../../../src/data/synthetic/catalogue.js";
import { Histories, type History } from "../../../src/data/synthetic/histories.js";
import { syntheticModel } from "../../../src/data/synthetic/model.js";
import { syntheticPresets } from "../../../src/data/synthetic/options.js";

const kept = (history: History) => ({
  items: [...history.items.subarray(0, history.length)],
  levels: [...history.levels.subarray(0, history.length)],
  seconds: [...history.seconds.subarray(0, history.length)],
  moods: [...history.moods.subarray(0, history.length)],
  homes: [...history.homes.subarray(0, history.length)],
  lenience: history.lenience,
});

for (const preset of ["tiny", "small", "ml-1m", "ml-20m"] as const)
  test(`${preset} has the events it promises, at least 20 of each user`, async (t) => {
    const { lengths, catalogue } = await syntheticModel({ preset });
    const { users, items, events } = syntheticPresets[preset];
    t.is(lengths.length, users);
    t.is(catalogue.items, items);
    t.is(
      lengths.reduce((sum, length) => sum + length, 0),
      events,
    );
    t.true(lengths.every((length) => length >= 20 && length <= items / 3));
  });

test("ml-20m has about the windows of MovieLens 20M", async (t) => {
  const { lengths } = await syntheticModel({ preset: "ml-20m" });
  const windows = lengths.reduce((sum, length) => sum + Math.max(0, length - 51), 0);
  t.true(Math.abs(windows / 13.8e6 - 1) < 0.02, String(windows));
});

test("nothing comes twice, times never fall, ratings are on the scale", async (t) => {
  const model = await syntheticModel({ preset: "tiny" });
  const histories = new Histories(model);
  for (let user = 0; user < model.parameters.users; user++) {
    const { items, levels, seconds } = kept(histories.of(user));
    t.is(new Set(items).size, items.length);
    t.true(items.every((item) => item >= 0 && item < model.catalogue.items));
    t.true(levels.every((level) => level <= 9));
    t.true(seconds.every((second, i) => i === 0 || second >= seconds[i - 1]!));
  }
});

test("a user's history hangs on the seed and the user alone", async (t) => {
  const model = await syntheticModel({ preset: "tiny", seed: 5 });
  const histories = new Histories(model);
  const inOrder = [0, 1, 2].map((user) => kept(histories.of(user)));
  t.deepEqual(kept(histories.of(1)), inOrder[1]);
  t.deepEqual(kept(new Histories(model).of(2)), inOrder[2]);
  const other = new Histories(await syntheticModel({ preset: "tiny", seed: 6 }));
  t.notDeepEqual(kept(other.of(0)), inOrder[0]);
});

test("times can change without the items", async (t) => {
  const tied = new Histories(await syntheticModel({ preset: "tiny", tiedShare: 0.5 }));
  const untied = new Histories(await syntheticModel({ preset: "tiny", tiedShare: 0 }));
  const [a, b] = [kept(tied.of(3)), kept(untied.of(3))];
  t.deepEqual(a.items, b.items);
  t.deepEqual(a.levels, b.levels);
  t.is(new Set(b.seconds).size, b.seconds.length);
  t.true(new Set(a.seconds).size < a.seconds.length);
});

test("shares of ties, changes, collisions, scripts and genres are the documented ones", async (t) => {
  const model = await syntheticModel({ preset: "small" });
  const { catalogue, parameters } = model;
  const histories = new Histories(model);
  const sums = { steps: 0, tied: 0, homes: 0, lenient: 0 };
  for (let user = 0; user < parameters.users; user++) {
    const { seconds, homes, lenience } = kept(histories.of(user));
    sums.lenient += lenience === 2 ? 1 : 0;
    for (let i = 1; i < seconds.length; i++) {
      sums.steps++;
      if (seconds[i] === seconds[i - 1]) sums.tied++;
      if (homes[i] !== homes[i - 1]) sums.homes++;
    }
  }
  const near = (share: number, wanted: number, draws: number) =>
    t.true(Math.abs(share - wanted) < 4 * Math.sqrt((wanted * (1 - wanted)) / draws), `${share}`);
  near(sums.tied / sums.steps, 0.05, sums.steps);
  near(sums.lenient / parameters.users, 0.25, parameters.users);
  // A home that is drawn anew may be the old one.
  const same = catalogue.genreShares.reduce((sum, share) => sum + share ** 2, 0);
  near(sums.homes / sums.steps, 0.01 * (1 - 0.5 * same), sums.steps);

  const titles = new Set(catalogue.titles);
  near(1 - titles.size / parameters.items, 0.01, parameters.items);
  const foreign = catalogue.titles.filter((title) => /[^ -~]/.test(title)).length;
  t.true(foreign > 0.01 * parameters.items && foreign < 0.03 * parameters.items, `${foreign}`);
  const first = catalogue.firstGenre.reduce((sum, genre) => sum + (genre === 0 ? 1 : 0), 0);
  near(first / parameters.items, 0.99 * catalogue.genreShares[0]!, parameters.items);
  t.true(catalogue.titles.some((title) => / II \(\d{4}\)$/.test(title)));
  for (const item of [0, 1, 2, 3]) {
    const genres = genresOf(catalogue, item);
    t.true(genres.length <= 4);
    t.deepEqual(genres, genres.toSorted());
  }
});

test("wrong options are refused, in a sentence", async (t) => {
  for (const [options, message] of [
    [{ preset: "large" }, /no preset "large"; there are tiny, small/],
    [{ user: 5 }, /no option "user"; there are/],
    [{ seed: -1 }, /seed must be from 0 to/],
    [{ seed: 1.5 }, /seed must be a whole number, got 1.5/],
    [{ followShare: 1.2 }, /followShare must be from 0 to 1, got 1.2/],
    [{ moodChange: Number.NaN }, /moodChange must be from 0 to 1, got NaN/],
    [{ genres: 19 }, /genres must be from 2 to 18/],
    [{ users: 10, items: 100, events: 199 }, /10 users of 20 to 33 events .* not 199/],
    [{ users: 10, items: 100, events: 331 }, /10 users of 20 to 33 events .* not 331/],
  ] as const)
    await t.throwsAsync(syntheticModel(options as object), { code: "ERR_CONFIG", message });
});
