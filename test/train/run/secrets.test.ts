/** Commands and environments are stored without secrets; command lines can be pasted. */
import { execFileSync } from "node:child_process";
import test from "ava";
import fc from "fast-check";
import { commandLine } from "../../../src/train/run/command-line.js";
import { ownVariables } from "../../../src/train/run/environment.js";
import { redactText, redactValue } from "../../../src/train/run/secrets.js";

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/** As a machine makes them; fast-check's own strings are too simple to look like one. */
const random = (least: number, most: number, alphabet = letters): fc.Arbitrary<string> =>
  fc
    .array(fc.noBias(fc.integer({ min: 0, max: 2 ** 31 - 1 })), {
      minLength: least,
      maxLength: most,
      size: "max",
    })
    .map((numbers) => numbers.map((number) => alphabet[number % alphabet.length]).join(""));

const secretName = fc.constantFrom(
  ..."token hf-token hubToken HF_TOKEN api-key apiKey OPENAI_API_KEY secret client-secret aws.secretAccessKey".split(
    " ",
  ),
  ..."password dbPassword PGPASSWORD_ passwd passphrase credentials auth-token auth session.cookie private-key".split(
    " ",
  ),
);

test("whatever an option for secrets is given is left out", (t) => {
  fc.assert(
    fc.property(
      secretName,
      fc.oneof(random(4, 40), random(8, 20, `${letters}-_/+=.:@!"' $\\,;&{}`)),
      fc.nat(7),
      (name, secret, form) => {
        fc.pre(!"REDACTED".includes(secret) && !name.includes(secret));
        const words = [
          [`--${name}`, secret],
          [`--${name}=${secret}`],
          [`-${name}`, secret],
          [`${name}=${secret}`],
          ["--set", `${name}=${secret}`],
          [`--set=hub.${name}=${secret}`],
          ["--set", `hub.${name}=${secret}`],
          [`--set=${name}=${secret}`],
        ][form]!;
        const line = commandLine(["user-llm", "pretrain", ...words, "--json"]);
        t.false(line.includes(secret), line);
        // In quotes it may have been written in other words.
        t.regex(line, /REDACTED'? --json$/);
      },
    ),
    { numRuns: 1000 },
  );
});

test("secrets that are known by their looks or their place are left out of any text", (t) => {
  fc.assert(
    fc.property(random(24, 48), random(24, 48), fc.nat(23), (secret, other, form) => {
      const text = [
        `hf_${secret}`,
        `sk-${secret}`,
        `sk-proj-${secret}`,
        `ghp_${secret}`,
        `github_pat_${secret}`,
        `Bearer ${secret}`,
        `authorization: Basic ${secret}=`,
        `-HAuthorization: token ${secret}`,
        `X-Api-Key: ${secret}`,
        `Cookie: session=${secret}; x=${other}`,
        `https://me:${secret}@host.org/data.csv`,
        `https://${secret}@host.org/data.csv`,
        `https://me:${secret}/${other}@host.org/data.csv`,
        `postgres://:${secret}@host/db`,
        `https://host.org/data.csv?x=1&token=${secret}&y=2`,
        `https://host.org/data.csv?X-Amz-Signature=${secret}`,
        `https://host.org/data.csv?sig=${secret}#a`,
        `https://host.org/data.csv#access_token=${secret}`,
        `{"token": "${secret}", "a": 1}`,
        `{hub: {apiKey: '${secret}'}}`,
        JSON.stringify({ body: JSON.stringify({ token: secret }) }),
        `env:HF_TOKEN=${secret}`,
        `x=y:password=${secret}`,
        `eyJhbGciOiJIUzI1NiJ9.${secret}.${other}`,
      ][form]!;
      for (const written of [
        redactText(text),
        redactText(`reading ${text}`),
        commandLine(["user-llm", "--input", text, "x"]),
        commandLine(["user-llm", `--input=${text}`]),
        commandLine(["user-llm", "--set", `data.input=${text}`]),
        JSON.stringify(redactValue({ a: [{ note: text }], [text]: 1 })),
      ]) {
        t.false(written.includes(secret), written);
        if (/Cookie|eyJ/.test(text)) t.false(written.includes(other), written);
      }
    }),
    { numRuns: 1000 },
  );
});

test("long random values under names that hint at a secret are left out", (t) => {
  const hinting = fc.constantFrom(
    "key",
    "my-key",
    "keys",
    "tokens",
    "passes",
    "keyring",
    "authority",
  );
  const value = fc.oneof(
    random(20, 64),
    random(32, 64, "0123456789abcdef"),
    fc.uuid().filter((text) => /\d/.test(text)),
  );
  fc.assert(
    fc.property(hinting, value, (name, secret) => {
      for (const words of [
        [`--${name}`, secret],
        [`--${name}=${secret}`],
        ["--set", `a.${name}=${secret}`],
      ])
        t.false(commandLine(words).includes(secret));
      t.deepEqual(redactValue({ [name]: secret }), { [name]: "REDACTED" });
    }),
    { numRuns: 300 },
  );
});

test("what is no secret stays", (t) => {
  const words = [
    "user-llm pretrain -c runs/ml-1m.yaml --name sasrec-2 --set train.learningRate=1e-3 --seed 7",
    "user-llm generate --max-new-tokens 64 --tokenizer HuggingFaceTB/SmolLM2-135M-Instruct",
    "user-llm serve --api-key-env MY_SERVICE_KEY --key user --token-file /run/secrets/hub",
    "user-llm train --set data.table.events.user=author --set data.out=prepared/keyboards",
    "user-llm eval --checkpoint runs/x/checkpoints/step-2000 --tokenizer models/llama-2-7b-chat-hf-q4",
    "user-llm data download https://files.org/ml-1m.zip?version=2#readme",
    "user-llm embed --data 3f2a9c11d0b2a7e4c1d0b2a7e43f2a9c --device cpu",
  ];
  for (const line of words) t.is(commandLine(line.split(" ")).replaceAll("'", ""), line);
  for (const text of [
    "basic settings, token counts",
    "12 tokens/s",
    "first pass over the basic data",
  ])
    t.is(redactText(text), text);
  const facts = {
    data: { fingerprint: "3f2a9c11d0b2a7e4c1d0b2a7e43f2a9c" },
    tokens: 12,
    none: null,
  };
  t.deepEqual(redactValue(facts), facts);
});

test("everything below a secret's name is left out, numbers too", (t) => {
  t.deepEqual(
    redactValue({ credentials: { user: "me", pin: [1, "2"], empty: "" }, password: 1234 }),
    {
      credentials: { user: "REDACTED", pin: ["REDACTED", "REDACTED"], empty: "" },
      password: "REDACTED",
    },
  );
});

test("of the environment only the variables of this package are looked at", (t) => {
  const env = {
    USER_LLM_THREADS: "2",
    USER_LLM_HUB_TOKEN: "abc",
    USER_LLM_MIRROR: "https://me:abc@mirror.org/x",
    HF_TOKEN: "abc",
    HOME: "/home/me",
    MY_USER_LLM_X: "1",
  };
  t.deepEqual(ownVariables(env), {
    USER_LLM_THREADS: "2",
    USER_LLM_HUB_TOKEN: "REDACTED",
    USER_LLM_MIRROR: "https://REDACTED@mirror.org/x",
  });
});

test("a shell reads back the words of a command line", (t) => {
  if (process.platform === "win32") {
    t.pass("needs bash");
    return;
  }
  const plain = fc.string({
    unit: fc.constantFrom(..."aZ9 '\"\\$`*?[]{}()<>|&;!#~=\t\n\x07\x1b-/é映"),
  });
  const commands = fc.array(fc.array(plain, { minLength: 1, maxLength: 5 }), {
    minLength: 20,
    maxLength: 40,
  });
  fc.assert(
    fc.property(commands, (lines) => {
      const written = lines.map((words) =>
        commandLine(words.map((word) => `x${word}`).concat(words)),
      );
      const script = written.map((line) => `printf '%s\\0' ${line}; printf '\\0'`).join("\n");
      t.false(written.join("").includes("\n"));
      t.is(
        execFileSync("bash", ["-c", script], { encoding: "utf8" }),
        lines
          .map((words) => words.map((word) => `x${word}`).concat(words))
          .map((words) => `${words.join("\0")}\0\0`)
          .join(""),
      );
    }),
    { numRuns: 15 },
  );
});

test("commands that need no quotes have none", (t) => {
  t.is(
    commandLine([
      "user-llm",
      "pretrain",
      "-c",
      "a/b.yaml",
      "--set",
      "x.y=1e-3",
      "it's",
      "",
      "a\nb",
    ]),
    "user-llm pretrain -c a/b.yaml --set x.y=1e-3 'it'\\''s' '' $'a\\x0ab'",
  );
});
