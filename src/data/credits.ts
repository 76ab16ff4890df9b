/** What publishers allow, and what they ask to be cited: said when data is downloaded, and when it is prepared. */

export interface Credit {
  /** In a line. */
  readonly licence: string;
  readonly citation: string;
}

const harper =
  "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. " +
  "ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. https://doi.org/10.1145/2827872";

/** MovieLens 1M and 10M. */
export const olderMovieLens: Credit = {
  licence:
    "GroupLens: for research, with acknowledgement; no commercial use and no redistribution without permission",
  citation: harper,
};

/** MovieLens 20M, 25M, 32M, latest and latest-small. */
export const newerMovieLens: Credit = {
  licence:
    "GroupLens: for research, with acknowledgement; no commercial use without permission; redistribution under the same conditions",
  citation: harper,
};

const notStated = "none stated by the publisher (McAuley Lab, UCSD), so do not redistribute; cite";

export const amazonReviews: Readonly<Record<2014 | 2018 | 2023, Credit>> = {
  2014: {
    licence: `${notStated} the paper`,
    citation:
      "Ruining He and Julian McAuley. 2016. Ups and Downs: Modeling the Visual Evolution of Fashion Trends with " +
      "One-Class Collaborative Filtering. WWW 2016. https://doi.org/10.1145/2872427.2883037",
  },
  2018: {
    licence: `${notStated} the paper`,
    citation:
      "Jianmo Ni, Jiacheng Li and Julian McAuley. 2019. Justifying Recommendations using Distantly-Labeled Reviews and " +
      "Fine-Grained Aspects. EMNLP-IJCNLP 2019. https://doi.org/10.18653/v1/D19-1018",
  },
  2023: {
    licence: `${notStated} the paper`,
    citation:
      "Yupeng Hou, Jiacheng Li, Zhankui He, An Yan, Xiusi Chen and Julian McAuley. 2024. Bridging Language and Items for " +
      "Retrieval and Recommendation. https://arxiv.org/abs/2403.03952",
  },
};

export const googleLocalData: Credit = {
  licence: `${notStated} the papers`,
  citation:
    "Jiacheng Li, Jingbo Shang and Julian McAuley. 2022. UCTopic: Unsupervised Contrastive Learning for Phrase " +
    "Representations and Topic Mining. ACL 2022. https://doi.org/10.18653/v1/2022.acl-long.426; " +
    "An Yan, Zhankui He, Jiacheng Li, Tianyang Zhang and Julian McAuley. 2023. Personalized Showcases: Generating " +
    "Multi-Modal Explanations for Recommendations. SIGIR 2023. https://doi.org/10.1145/3539618.3592036",
};
