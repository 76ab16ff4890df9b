/** Data sets that their publishers let everybody download, and where. */
import {
  amazonReviews,
  type Credit,
  googleLocalData,
  newerMovieLens,
  olderMovieLens,
} from "../credits.js";

/** A file at its publisher's. */
export interface RemoteFile {
  /** What it is called once it is here. */
  readonly name: string;
  readonly url: string;
  /** The publisher's checksum, where it never changes. */
  readonly md5?: string | undefined;
  /** Where the publisher keeps the checksum. */
  readonly md5Url?: string | undefined;
}

/** A data set that `download` brings. */
export interface DownloadableDataset extends Credit {
  /** What `download` is asked for: `ml-20m`. */
  readonly name: string;
  readonly title: string;
  /** The publisher's page. */
  readonly page: string;
  /** Published in parts: the option that picks one, and the parts there are. */
  readonly parts?: { readonly option: "category" | "state"; readonly names: readonly string[] };
  /** Whether the one file is a zip, to be unpacked. */
  readonly zip: boolean;
  /** @param part one of `parts`; empty without */
  files(part: string): readonly RemoteFile[];
}

const grouplens = "https://files.grouplens.org/datasets/movielens";
const mcauley = "https://mcauleylab.ucsd.edu/public_datasets";

/** Of the data at `page`, of which people know the numbers 1m, 20m, ...; without an MD5 the publisher's is asked for. */
function movielens(size: string, title: string, credit: Credit, md5?: string): DownloadableDataset {
  const name = `ml-${size}`;
  const url = `${grouplens}/${name}.zip`;
  return {
    name,
    title,
    ...credit,
    page: "https://grouplens.org/datasets/movielens",
    zip: true,
    files: () => [{ name: `${name}.zip`, url, md5, md5Url: `${url}.md5` }],
  };
}

function amazon(
  year: keyof typeof amazonReviews,
  page: string,
  categories: string,
  files: DownloadableDataset["files"],
): DownloadableDataset {
  return {
    name: `amazon-${year}`,
    title: `Amazon Reviews ${year}`,
    ...amazonReviews[year],
    page,
    parts: { option: "category", names: categories.trim().split(/\s+/) },
    zip: false,
    files,
  };
}

/** The data sets that `download` and `user-llm data download` bring. */
export const downloadableDatasets: readonly DownloadableDataset[] = [
  movielens("latest-small", "MovieLens latest-small", newerMovieLens),
  movielens("1m", "MovieLens 1M", olderMovieLens, "c4d9eecfca2ab87c1945afe126590906"),
  movielens("10m", "MovieLens 10M", olderMovieLens, "ce571fd55effeba0271552578f2648bd"),
  movielens("20m", "MovieLens 20M", newerMovieLens, "cd245b17a1ae2cc31bb14903e1204af3"),
  movielens("25m", "MovieLens 25M", newerMovieLens, "6b51fb2759a8657d3bfcbfc42b592ada"),
  movielens("32m", "MovieLens 32M", newerMovieLens, "d472be332d4daa821edc399621853b57"),
  amazon(
    2014,
    "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html",
    `Amazon_Instant_Video Apps_for_Android Automotive Baby Beauty Books CDs_and_Vinyl
     Cell_Phones_and_Accessories Clothing_Shoes_and_Jewelry Digital_Music Electronics Grocery_and_Gourmet_Food
     Health_and_Personal_Care Home_and_Kitchen Kindle_Store Movies_and_TV Musical_Instruments Office_Products
     Patio_Lawn_and_Garden Pet_Supplies Sports_and_Outdoors Tools_and_Home_Improvement Toys_and_Games Video_Games`,
    (category) => {
      const folder = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles";
      const [reviews, meta] = [`reviews_${category}.json.gz`, `meta_${category}.json.gz`];
      return [
        { name: reviews, url: `${folder}/${reviews}` },
        { name: meta, url: `${folder}/${meta}` },
      ];
    },
  ),
  amazon(
    2018,
    "https://nijianmo.github.io/amazon",
    `AMAZON_FASHION All_Beauty Appliances Arts_Crafts_and_Sewing Automotive Books CDs_and_Vinyl
     Cell_Phones_and_Accessories Clothing_Shoes_and_Jewelry Digital_Music Electronics Gift_Cards
     Grocery_and_Gourmet_Food Home_and_Kitchen Industrial_and_Scientific Kindle_Store Luxury_Beauty
     Magazine_Subscriptions Movies_and_TV Musical_Instruments Office_Products Patio_Lawn_and_Garden Pet_Supplies
     Prime_Pantry Software Sports_and_Outdoors Tools_and_Home_Improvement Toys_and_Games Video_Games`,
    (category) => {
      const folder = `${mcauley}/data/amazon_v2`;
      const [reviews, meta] = [`${category}.json.gz`, `meta_${category}.json.gz`];
      return [
        { name: reviews, url: `${folder}/categoryFiles/${reviews}` },
        { name: meta, url: `${folder}/metaFiles2/${meta}` },
      ];
    },
  ),
  amazon(
    2023,
    "https://amazon-reviews-2023.github.io",
    `All_Beauty Amazon_Fashion Appliances Arts_Crafts_and_Sewing Automotive Baby_Products
     Beauty_and_Personal_Care Books CDs_and_Vinyl Cell_Phones_and_Accessories Clothing_Shoes_and_Jewelry Digital_Music
     Electronics Gift_Cards Grocery_and_Gourmet_Food Handmade_Products Health_and_Household Health_and_Personal_Care
     Home_and_Kitchen Industrial_and_Scientific Kindle_Store Magazine_Subscriptions Movies_and_TV Musical_Instruments
     Office_Products Patio_Lawn_and_Garden Pet_Supplies Software Sports_and_Outdoors Subscription_Boxes
     Tools_and_Home_Improvement Toys_and_Games Unknown Video_Games`,
    (category) => {
      const folder = `${mcauley}/data/amazon_2023/raw`;
      const [reviews, meta] = [`${category}.jsonl.gz`, `meta_${category}.jsonl.gz`];
      return [
        { name: reviews, url: `${folder}/review_categories/${reviews}` },
        { name: meta, url: `${folder}/meta_categories/${meta}` },
      ];
    },
  ),
  {
    name: "google-local-2021",
    title: "Google Local Data (2021)",
    ...googleLocalData,
    page: `${mcauley}/gdrive/googlelocal`,
    parts: {
      option: "state",
      names: `Alabama Alaska Arizona Arkansas California Colorado Connecticut Delaware
        District_of_Columbia Florida Georgia Hawaii Idaho Illinois Indiana Iowa Kansas Kentucky Louisiana Maine Maryland
        Massachusetts Michigan Minnesota Mississippi Missouri Montana Nebraska Nevada New_Hampshire New_Jersey New_Mexico
        New_York North_Carolina North_Dakota Ohio Oklahoma Oregon Pennsylvania Rhode_Island South_Carolina South_Dakota
        Tennessee Texas Utah Vermont Virginia Washington West_Virginia Wisconsin Wyoming other`.split(
        /\s+/,
      ),
    },
    zip: false,
    files: (state) => {
      const folder = `${mcauley}/gdrive/googlelocal`;
      const [reviews, meta] = [`review-${state}.json.gz`, `meta-${state}.json.gz`];
      return [
        { name: reviews, url: `${folder}/${reviews}` },
        { name: meta, url: `${folder}/${meta}` },
      ];
    },
  },
];
