/** What reviews are made of: `<opening> <phrase of a genre> <verdict>. <closing>` */

export interface ReviewStyle {
  readonly openings: readonly string[];
  /** For low, middling and high ratings. */
  readonly verdicts: readonly [readonly string[], readonly string[], readonly string[]];
  readonly closings: readonly string[];
}

/** The first two are of those who rate low, the next two of those who rate evenly, the last two of those who rate high. */
export const reviewStyles: readonly ReviewStyle[] = [
  {
    openings: ["As I feared,", "Once more", "To nobody's surprise,"],
    verdicts: [
      ["was a chore", "wasted my evening", "made no sense at all"],
      ["was no worse than the rest", "passed the time, barely", "could have been shorter"],
      [
        "was better than it had any right to be",
        "left me little to complain of",
        "held up, I admit",
      ],
    ],
    closings: ["They used to do this better.", "I want my hours back.", "So it goes."],
  },
  {
    openings: ["Short version:", "In brief,", "Noted:"],
    verdicts: [
      ["failed", "did not work", "fell flat"],
      ["was fine", "did its job", "was average"],
      ["worked", "landed", "was strong"],
    ],
    closings: ["Enough said.", "Next.", "That is all."],
  },
  {
    openings: ["I thought", "For me,", "On the whole"],
    verdicts: [
      ["was disappointing", "was hard to get through", "did not hold my interest"],
      ["was decent", "had good and bad parts", "was about what I expected"],
      ["was very good", "was well done", "kept me interested to the end"],
    ],
    closings: ["Others may differ.", "Worth knowing before you start.", "I said what I think."],
  },
  {
    openings: ["Structurally,", "Considered as a whole,", "From the first act on,"],
    verdicts: [
      ["lacked any inner logic", "remained an unearned gesture", "collapsed under its premise"],
      ["stayed within convention", "was competently arranged", "raised questions it left open"],
      ["was rigorously composed", "rewarded close attention", "achieved a rare economy"],
    ],
    closings: [
      "A second viewing is advised.",
      "The form deserves study.",
      "Compare the earlier works.",
    ],
  },
  {
    openings: ["Oh wow,", "I can't stop smiling:", "Friends, listen,"],
    verdicts: [
      ["was not quite for me but bless them", "almost got there", "tried so hard"],
      ["was really sweet", "had so many lovely moments", "made me happy"],
      ["was pure magic", "had me in tears of joy", "was the best thing this year"],
    ],
    closings: ["All my love to everyone involved!", "Go and see it tonight!", "My heart is full!"],
  },
  {
    openings: ["So my sister and I watched this and", "Funny story,", "You know what,"],
    verdicts: [
      ["was a bit of a mess, haha", "lost us halfway", "had us checking the clock"],
      ["was good with popcorn", "was okay, you know", "kept us chatting"],
      ["had us glued to the sofa", "was a real treat", "had the whole room cheering"],
    ],
    closings: [
      "Anyway, tea time.",
      "We'll watch another one next week.",
      "Tell me what you thought!",
    ],
  },
];

/** What is praised or blamed, by genre. The last is for items without genres. */
export const genrePhrases: Readonly<Record<string, readonly string[]>> = {
  Drama: ["the family quarrel", "the long silence at the table", "the parting scene"],
  Comedy: ["the running joke", "the mix-up at the wedding", "the slapstick"],
  Adventure: ["the march through the jungle", "the treasure map", "the escape by balloon"],
  Mystery: ["the locked room", "the missing heir", "the final clue"],
  Romance: ["the first dance", "the unsent letter", "the kiss in the rain"],
  Fantasy: ["the talking sword", "the dragon's bargain", "the spell at midnight"],
  Crime: ["the bank job", "the crooked inspector", "the stolen ledger"],
  Science: ["the failed experiment", "the signal from space", "the clever machine"],
  Family: ["the grandmother", "the lost puppy", "the summer at the farm"],
  History: ["the old kingdom", "the siege", "the coronation"],
  Music: ["the duet", "the broken violin", "the last concert"],
  Nature: ["the migration of the cranes", "the silent forest", "the wolf cub"],
  Travel: ["the night train", "the border crossing", "the desert road"],
  Sport: ["the final match", "the injured runner", "the old coach"],
  Sea: ["the storm at sea", "the drowned bell", "the mutiny"],
  Animation: ["the paper cut-out style", "the dancing teapot", "the colour of the skies"],
  Legend: ["the sleeping giant", "the oath of the brothers", "the hidden crown"],
  Puzzle: ["the maze", "the cipher", "the clockwork trap"],
  none: ["the whole thing", "the odd premise", "the pacing"],
};

/** Reviews in other scripts: for low, middling and high ratings. */
export const otherReviews: readonly (readonly [
  readonly string[],
  readonly string[],
  readonly string[],
])[] = [
  [
    ["Δεν μου άρεσε.", "Πολύ βαρετό."],
    ["Έτσι κι έτσι.", "Βλέπεται."],
    ["Υπέροχο!", "Μου άρεσε πολύ."],
  ],
  [
    ["Не понравилось.", "Очень скучно."],
    ["Неплохо.", "Можно посмотреть один раз."],
    ["Прекрасно!", "Очень понравилось."],
  ],
  [
    ["لم يعجبني.", "ممل جدا."],
    ["لا بأس به.", "عادي."],
    ["رائع!", "أعجبني كثيرا."],
  ],
  [
    ["つまらなかった。", "好きではない。"],
    ["まあまあだった。", "普通です。"],
    ["素晴らしい!", "とても良かった。"],
  ],
];
