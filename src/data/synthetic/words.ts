/** The words of invented titles and genres. Every list is ours; likeness to anything that exists is chance. */

export const genreNames = [
  "Drama",
  "Comedy",
  "Adventure",
  "Mystery",
  "Romance",
  "Fantasy",
  "Crime",
  "Science",
  "Family",
  "History",
  "Music",
  "Nature",
  "Travel",
  "Sport",
  "Sea",
  "Animation",
  "Legend",
  "Puzzle",
] as const;

export const adjectives =
  "Amber Ancient Autumn Blue Borrowed Brass Broken Burning Clever Copper Crooked Crystal Distant Drifting Early Electric Empty Endless Fading Faithful Fallen Feathered Final Floating Forgotten Frozen Gentle Gilded Golden Hidden Hollow Honest Hungry Idle Indigo Iron Ivory Last Late Little Lonely Lost Lucky Marble Midnight Narrow Nameless Northern Painted Paper Patient Pale Quiet Restless Rusty Salted Scarlet Second Secret Seventh Silent Silver Sleeping Slow Southern Stolen Stubborn Sunken Tall Tangled Thirteenth Twin Unfinished Velvet Wandering Wild Winter Wooden Yellow".split(
    " ",
  );

export const nouns =
  "Acrobat Almanac Anchor Apprentice Archive Atlas Bakery Balloon Beacon Bicycle Bridge Cartographer Cellar Chapel Clockmaker Comet Compass Corridor Cricket Dancer Detective Dictionary Engine Envelope Expedition Falcon Farewell Ferry Festival Forest Garden Gardener Glacier Harbour Heron Horizon Hour Island Juggler Key Kite Ladder Lake Lantern Letter Library Lighthouse Locksmith Map Market Meadow Memory Messenger Mirror Mountain Museum Neighbour Night Oath Observatory Orchard Orchestra Owl Painter Passenger Pendulum Piano Pilot Promise Railway Recipe Riddle River Sailor Season Shadow Signal Sister Station Storm Story Summer Tailor Teapot Telegram Theatre Thief Tide Tower Tunnel Umbrella Valley Violin Visitor Voyage Waltz Whistle Window Workshop".split(
    " ",
  );

export const places =
  "Aldermoor Brackenholt Calder Dunmarrow Eastermere Fennick Greyhollow Harrowmere Ilmenholt Juniper Kestrelford Lowmarsh Mirefield Nettlecombe Oakhaven Pellworth Quarry Ravenscar Saltmarsh Thornwick Ullen Vellmark Westerby Yarrow Zinnwald".split(
    " ",
  );

export const sequels = ["", " II", " III", " IV", " V", " VI"] as const;

/** A language other than English: titles are an adjective and a noun that go together as they stand. */
export const otherScripts = [
  {
    name: "Greek",
    adjectives: ["Μικρή", "Παλιά", "Χρυσή", "Κρυφή", "Λευκή", "Τελευταία"],
    nouns: ["Θάλασσα", "Βιβλιοθήκη", "Γέφυρα", "Υπόσχεση", "Μουσική", "Νύχτα", "Πόλη"],
    between: " ",
  },
  {
    name: "Russian",
    adjectives: ["Старая", "Тихая", "Золотая", "Последняя", "Синяя", "Долгая"],
    nouns: ["Река", "Дорога", "Библиотека", "Песня", "Зима", "Тайна", "Мельница"],
    between: " ",
  },
  {
    name: "Arabic",
    adjectives: ["القديمة", "الصغيرة", "الذهبية", "الهادئة", "البعيدة", "الأخيرة"],
    nouns: ["المدينة", "الحديقة", "المكتبة", "الرسالة", "الجزيرة", "السفينة", "الليلة"],
    between: " ",
    nounFirst: true,
  },
  {
    name: "Japanese",
    adjectives: ["青い", "古い", "静かな", "遠い", "小さな", "最後の"],
    nouns: ["海", "図書館", "橋", "約束", "音楽", "夜", "町"],
    between: "",
  },
] as const;
