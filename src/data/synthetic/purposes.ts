/** What random numbers are for. Each has its own, so that changing one part of the data leaves the others as they are. */
export const purposes = {
  catalogue: 1,
  titles: 2,
  lengths: 3,
  tastes: 4,
  times: 5,
  reviews: 6,
} as const;
