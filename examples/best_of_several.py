"""Choose the best of several replies with a saved reward model.

    python examples/best_of_several.py gazetune_runs/pairs/trials/0003/best \
        --prompt "Why is the sky blue?" "It mirrors the sea." "Air scatters blue light most."

Prints every reply with its reward, the best one first.
"""

from __future__ import annotations

import argparse

from gazetune import RewardScorer


def main() -> None:
    """Score each reply to the prompt, and print them by their rewards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the folder of a saved model (best/ of a run or a trial)")
    parser.add_argument("replies", nargs="+")
    parser.add_argument("--prompt", required=True)
    args = parser.parse_args()

    scorer = RewardScorer.from_pretrained(args.model)
    prompt = {"role": "user", "content": args.prompt}
    rewards = scorer.score([[prompt, {"role": "assistant", "content": reply}] for reply in args.replies])

    ranked = sorted(zip(rewards.tolist(), args.replies, strict=True), reverse=True)
    for reward, reply in ranked:
        print(f"{reward:+.4f}  {reply}")


if __name__ == "__main__":
    main()
