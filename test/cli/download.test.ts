import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { zipOf } from "../data/download/zips.js";
import { runMain } from "./run-main.js";

/** A mirror in a folder, and a place to download to. */
async function mirror(t: ExecutionContext): Promise<{ url: string; out: string }> {
  const folder = await mkdtemp(join(tmpdir(), "user-llm-cli-download-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const zip = await zipOf({ "ml-latest-small/ratings.csv": "userId,movieId,rating,timestamp\n" });
  await writeFile(join(folder, "ml-latest-small.zip"), zip);
  return { url: `${folder}/`, out: join(folder, "raw") };
}

test("data download brings a data set and says its licence", async (t) => {
  const { url, out } = await mirror(t);
  const run = await runMain(["data", "download", "ml-latest-small", "--out", out, "--url", url]);
  t.is(run.exitCode, 0, run.stderr);
  t.regex(run.stderr, /MovieLens latest-small; licence: GroupLens: for research/);
  t.regex(
    run.stdout,
    /^.*raw\/ml-latest-small: ratings\.csv\nml-latest-small\.zip: \d+ B, the publisher gives no checksum; sha256:[0-9a-f]{64}\ncite: F\. Maxwell Harper/,
  );
  t.regex(await readFile(join(out, "ml-latest-small", "ratings.csv"), "utf8"), /^userId/);

  const again = await runMain([
    "data",
    "download",
    "ml-latest-small",
    "--out",
    out,
    "--json",
    "--offline",
  ]);
  t.is(again.exitCode, 0);
  const document = JSON.parse(again.stdout);
  t.like(document, {
    v: 1,
    name: "ml-latest-small",
    fresh: false,
    folder: join(out, "ml-latest-small"),
  });
});

for (const [what, args, env, exitCode, message] of [
  [
    "an unknown name",
    ["ml-30m"],
    {},
    2,
    /no data set is called "ml-30m"; there are ml-latest-small, /,
  ],
  ["a missing category", ["amazon-2023"], {}, 2, /amazon-2023 needs a category/],
  ["--offline", ["ml-1m", "--offline"], {}, 5, /the network is not to be used/],
  ["USER_LLM_OFFLINE", ["ml-1m"], { USER_LLM_OFFLINE: "1" }, 5, /the network is not to be used/],
  [
    "a wrong checksum",
    ["ml-1m", "--url", "MIRROR"],
    {},
    5,
    /its md5 is [0-9a-f]{32}, expected c4d9eecfca2ab87c1945afe126590906/,
  ],
  [
    "a mirror without the file",
    ["ml-1m", "--url", "/nowhere/"],
    {},
    3,
    /cannot read: no such file/,
  ],
] as [string, string[], Record<string, string>, number, RegExp][]) {
  test(`data download with ${what} ends with ${exitCode}`, async (t) => {
    const { url, out } = await mirror(t);
    const given = args.map((arg) => (arg === "MIRROR" ? `${url}ml-latest-small.zip` : arg));
    const run = await runMain(["data", "download", ...given, "--out", out], { env });
    t.is(run.exitCode, exitCode, run.stderr);
    t.regex(run.stderr, message);
    t.is(run.stdout, "");
  });
}
