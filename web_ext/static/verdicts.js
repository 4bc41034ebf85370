// Words for one transaction.  The words on a run come from the server; no page judges a figure.

import { known } from "./format.js";

export const SCORE_MEDIUM = 0.3;
export const SCORE_HIGH = 0.7;

/** Band of a score: word, shape and colour role together. */
export function scoreBand(score) {
  if (!known(score)) return { word: "not scored", icon: "ring", role: "none" };
  if (score < SCORE_MEDIUM) return { word: "low", icon: "dot", role: "genuine" };
  if (score <= SCORE_HIGH) return { word: "medium", icon: "diamond", role: "suspicious" };
  return { word: "high", icon: "triangle", role: "fraud" };
}

/** What became of a transaction, seen from the truth. */
export function resultOf({ truth, decision, detector_error: error }) {
  const alerted = decision === "review" || decision === "block";
  // As the server counts: fraud that the detector was asked about and gave no usable answer to is missed.
  const unanswered = truth === "fraud" && error;
  if (!unanswered && (decision === null || decision === undefined || decision === "n/a")) {
    return { word: "not judged", role: "none", icon: "ring" };
  }
  if (truth === "fraud") {
    return alerted
      ? { word: "caught", role: "caught", icon: "pass" }
      : { word: "missed", role: "missed", icon: "fail" };
  }
  return alerted
    ? { word: "false positive", role: "false-positive", icon: "warn" }
    : { word: "passed", role: "none", icon: "dot" };
}
