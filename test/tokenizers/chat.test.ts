import test, { type ExecutionContext } from "ava";
import { CheckpointError, UsageError } from "../../src/errors.js";
import { type ChatMessage, type ChatOptions, Tokenizer } from "../../src/tokenizers/index.js";
import { changedTokenizer, type Json } from "./folders.js";
import { goldenFolder, readGolden } from "./goldens.js";

interface Template {
  name: string;
  tokenizer: string;
  template: string;
  cases: (ChatOptions & { messages: ChatMessage[]; text?: string; error?: string })[];
}

const hello: ChatMessage[] = [{ role: "user", content: "hello" }];
const goldens = readGolden<{ templates: Template[] }>("chats.json").templates;

for (const { name, tokenizer, template, cases } of goldens) {
  test(`${name}: conversations are written as transformers writes them`, async (t) => {
    const config = (file: Json): void => {
      file.chat_template = template;
    };
    const loaded = await Tokenizer.load(await changedTokenizer(t, tokenizer, { config }));
    t.true(loaded.hasChatTemplate);
    for (const { messages, text, error, ...options } of cases) {
      const shown = JSON.stringify({ messages, ...options });
      if (text !== undefined) {
        t.is(loaded.chat(messages, options), text, shown);
      } else {
        const thrown = t.throws(() => loaded.chat(messages, options), { instanceOf: UsageError });
        t.true(thrown?.message.endsWith(`: ${error}`), shown);
      }
    }
  });
}

/** A tokenizer with a template of its own. */
async function withTemplate(
  t: ExecutionContext,
  template: Json,
  timeLimitMs = 5000,
): Promise<Tokenizer> {
  const config = (file: Json): void => {
    file.chat_template = template;
  };
  return Tokenizer.load(await changedTokenizer(t, "llama2", { config }), { timeLimitMs });
}

test("templates have names", async (t) => {
  const templates = [
    { name: "default", template: "plain {{ messages[0].content }}" },
    { name: "tool_use", template: "{{ tools | length }} tools" },
    { name: "summary", template: "summary" },
  ];
  const tokenizer = await withTemplate(t, templates);
  t.is(tokenizer.chat(hello), "plain hello");
  t.is(tokenizer.chat(hello, { tools: [{}, {}] }), "2 tools");
  t.is(tokenizer.chat(hello, { tools: [{}], template: "default" }), "plain hello");
  t.is(tokenizer.chat(hello, { template: "summary" }), "summary");
  t.throws(() => tokenizer.chat(hello, { template: "other" }), {
    instanceOf: UsageError,
    message: /has no chat template "other"; it has "default", "tool_use", "summary"$/,
  });
});

test("templates in files of their own go first", async (t) => {
  const files = {
    "chat_template.jinja": "{{ bos_token }}file\n{% generation %}\nours{% endgeneration %}",
    "additional_chat_templates/rag.jinja": "{{ documents[0].title }}",
  };
  const config = (file: Json): void => {
    file.chat_template = "config";
  };
  const tokenizer = await Tokenizer.load(await changedTokenizer(t, "llama2", { config, files }));
  t.is(tokenizer.chat(hello), "<s>file\nours");
  t.is(tokenizer.chat(hello, { template: "rag", documents: [{ title: "Seas" }] }), "Seas");
});

test("a template is what chat_template.json says, where there is one", async (t) => {
  const files = { "chat_template.json": JSON.stringify({ chat_template: "processor" }) };
  t.is(
    (await Tokenizer.load(await changedTokenizer(t, "llama2", { files }))).chat(hello),
    "processor",
  );
});

test("a tokenizer without a template says so", async (t) => {
  const tokenizer = await Tokenizer.load(`${goldenFolder}/llama2`);
  t.false(tokenizer.hasChatTemplate);
  t.throws(() => tokenizer.chat(hello), {
    instanceOf: UsageError,
    message: /llama2 has no chat template$/,
  });
});

test("a template knows the day, in English", async (t) => {
  const tokenizer = await withTemplate(t, "{{ strftime_now('%d %B %Y %%') }}");
  const now = new Date();
  const month = now.toLocaleString("en-US", { month: "long" });
  const day = String(now.getDate()).padStart(2, "0");
  t.is(tokenizer.chat(hello), `${day} ${month} ${now.getFullYear()} %`);
  const unknown = await withTemplate(t, "{{ strftime_now('%Q') }}");
  t.throws(() => unknown.chat(hello), { message: /strftime_now does not know %Q/ });
});

const wrong: [title: string, messages: unknown, options: ChatOptions, message: RegExp][] = [
  ["no messages", [], {}, /expected at least one message/],
  ["something else", "hello", {}, /expected at least one message/],
  [
    "a message without a role",
    [...hello, { content: "x" }],
    {},
    /message 1 must be an object with a/,
  ],
  [
    "both ways to end",
    hello,
    { addGenerationPrompt: true, continueFinalMessage: true },
    /choose one of them/,
  ],
  [
    "nothing to continue",
    [{ role: "user" }],
    { continueFinalMessage: true },
    /has no text to continue/,
  ],
];

for (const [title, messages, options, message] of wrong) {
  test(`chat refuses ${title}`, async (t) => {
    const tokenizer = await withTemplate(t, "{{ messages | length }}");
    t.throws(() => tokenizer.chat(messages as ChatMessage[], options), {
      instanceOf: UsageError,
      message,
    });
  });
}

test("a message that a template changes cannot be continued", async (t) => {
  const tokenizer = await withTemplate(t, "{{ messages[0].content | upper }}");
  t.throws(() => tokenizer.chat(hello, { continueFinalMessage: true }), {
    instanceOf: UsageError,
    message: /changes the last message/,
  });
});

test("the last text of a message in parts is continued", async (t) => {
  const tokenizer = await withTemplate(
    t,
    "{% for part in messages[0].content %}[{{ part.text or '' }}]{% endfor %}",
  );
  const content = [{ type: "text", text: "one" }, { type: "text", text: "two" }, { type: "image" }];
  const messages = [{ role: "user", content }];
  t.is(tokenizer.chat(messages, { continueFinalMessage: true }), "[one][two");
});

test("a template that is none is an error with its file", async (t) => {
  const tokenizer = await withTemplate(t, "{% if messages %}");
  const message = /tokenizer_config\.json: the chat template does not work: /;
  t.throws(() => tokenizer.chat(hello), { instanceOf: CheckpointError, message });
});

const loops = "{% for i in range(99999) %}";
const tooLong = "x".repeat((1 << 20) + 1);
const bombs: [title: string, template: string, message: RegExp, limitMs?: number][] = [
  ["loops in loops", `${loops}${loops}{% endfor %}{% endfor %}`, /not done after 500 ms/, 500],
  ["a huge range", "{{ range(10 ** 9) | length }}", /range\(\) of more than 100000 numbers/],
  ["a range without end", "{{ range(0, 1, 0.0000001) }}", /range\(\) of more than 100000/],
  [
    "a text that doubles",
    "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    /makes more than 4194304 characters at once/,
  ],
  [
    "an output that doubles",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% else %}xxxxxxxxxxxx{% endif %}{% endmacro %}{{ m(60) }}",
    /not done after|characters at once/,
    500,
  ],
  [
    "a list that doubles",
    "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    /characters at once/,
  ],
  [
    "a list of lists of itself",
    "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s | tojson }}",
    /characters at once/,
  ],
  [
    "large texts, many of them",
    `{% set ns = namespace(l=[]) %}{% set s = 'x' * 1 if false else messages[0].content %}${loops}{% set ns.l = ns.l + [s | replace('a', 'bbbb')] %}{% endfor %}`,
    /not done after|in all|at once/,
    500,
  ],
  ["a macro that calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", /does not work/],
  [
    "brackets in brackets",
    `{{ ${"(".repeat(1e5)}1${")".repeat(1e5)} }}`,
    /call stack|not done after/,
    500,
  ],
  ["a long template", tooLong, /longer than 1048576 characters/],
];

for (const [title, template, message, limitMs] of bombs) {
  test(`a template ends in an error: ${title}`, async (t) => {
    const tokenizer = await withTemplate(t, template, limitMs);
    const messages = [{ role: "user", content: "a".repeat(1e5) }];
    const before = process.memoryUsage.rss();
    const start = performance.now();
    t.throws(() => tokenizer.chat(messages), { message });
    t.true(performance.now() - start < 10_000);
    t.true(process.memoryUsage.rss() - before < 500e6);
    t.is((await withTemplate(t, "{{ 1 }}")).chat(hello), "1");
  });
}
