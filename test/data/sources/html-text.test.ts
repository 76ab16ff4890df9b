import test from "ava";
import { htmlText } from "../../../src/data/sources/html-text.js";

test("shows entities as a browser does", (t) => {
  const cases: [string, string][] = [
    ["Fish &amp; Chips", "Fish & Chips"],
    ["&lt;b&gt; &quot;it&#39;s&apos;", "<b> \"it's'"],
    ["caf&eacute; &Auml;pfel &yuml;&nbsp;&iexcl;", "café Äpfel ÿ\u{a0}¡"],
    ["don&#x92;t &#8217; &#X2019; &#146;", "don’t ’ ’ ’"],
    ["&#128512; &#x1F600;", "😀 😀"],
    ["&amp;quot;", "&quot;"],
    ["one<br />two<BR>three<br/>", "one\ntwo\nthree\n"],
    ["R&B; AT&T &; &#; &#x; &amp & &unknown;", "R&B; AT&T &; &#; &#x; &amp & &unknown;"],
    ["&#0; &#xD800; &#x110000;", "\u{fffd} \u{fffd} \u{fffd}"],
    ["<b>bold</b>", "<b>bold</b>"],
    ["", ""],
  ];
  for (const [text, shown] of cases) t.is(htmlText(text), shown);
});
