"""The answer of the probe in words: whether gaze carries anything about the preference beyond length."""

from __future__ import annotations

from gazetune.evaluate.probe.run import LENGTH, ProbeResult
from gazetune.evaluate.statistics import smallest_detectable_difference
from gazetune.report.wording import format_interval, format_percent, format_points


def state_probe_verdict(result: ProbeResult) -> str:
    """Return in a few sentences whether all measures together say more about the preference than length alone."""
    seen = describe_probe_difference(result)
    alone = ", ".join(result.measures)
    if result.found:
        single = f"By themselves beside length (Holm): {alone}." if alone else "No measure shows it by itself (Holm)."
        return f"Gaze carries something about the preference beyond length: {seen}. {single}"
    single = f" By themselves beside length (Holm): {alone}; that all together show nothing is reason for doubt."
    least = smallest_detectable_difference(result.pairs, result.discordance) if result.discordance else None
    visible = f" {result.pairs} pairs can show gains above about {100 * least:.1f} points." if least else ""
    return f"Gaze shows nothing about the preference beyond length: {seen}.{single if alone else ''}{visible}"


def describe_probe_difference(result: ProbeResult) -> str:
    """Return what all measures with length and length alone reach on the same pairs, and the difference in points."""
    whole, length = (format_percent(result.scores[name].accuracy) for name in (result.overall.model, LENGTH))
    difference = format_points(result.overall.difference, result.overall.ci95)
    return (
        f"all measures with length are right on {whole} % of {result.pairs} pairs, length alone on {length} % "
        f"(difference in points, 95 % interval: {difference})"
    )


def probe_rows(result: ProbeResult) -> list[list[str]]:
    """Return the accuracy of each set of features, and what it has more than length alone, as rows below a head."""
    compared = {each.model: each for each in result.comparisons}
    rows = [["seen", "accuracy %", "95 % interval", "more than length", "p"]]
    for name, score in result.scores.items():
        row = [name, format_percent(score.accuracy), format_interval(score.ci95)]
        each = compared.get(name)
        row += ["-", "-"] if each is None else [format_points(each.difference, each.ci95), f"{each.p_adjusted:.4f}"]
        rows.append(row)
    return rows
