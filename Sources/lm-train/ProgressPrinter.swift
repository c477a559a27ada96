import CommandSupport
import Eval
import Train

/// Turns the events of a run into lines: steps redrawn on a terminal, plain lines elsewhere.
final class ProgressPrinter {
  private let steps: Int

  init(steps: Int) {
    self.steps = steps
  }

  func show(_ event: TrainingEvent) {
    switch event {
    case .resumed(let step):
      Terminal.note("resumed after step \(Format.count(step))")
    case .skippedCheckpoint(let reason):
      Terminal.note("passed over a checkpoint: \(reason)")
    case .damaged(let reason):
      Terminal.note("\(Terminal.styled("warning:", .yellow, on: .errors)) \(reason)")
    case .step(let metrics, let isLogged):
      if Terminal.isInteractive {
        let share = Double(metrics.step) / Double(max(1, steps))
        StatusLine.shared.show(Terminal.bar(share, columns: 12) + " " + describe(metrics))
      } else if isLogged {
        Terminal.note(describe(metrics))
      }
    case .validating(let sequences):
      if sequences % 100 == 0 {
        StatusLine.shared.show("validation: \(Format.count(sequences, "sequence"))")
      }
    case .validated(let validation, let isBest):
      let tally = validation.tally
      let best = isBest ? ", " + Terminal.styled("the best so far", .green, on: .errors) : ""
      Terminal.note(
        "step \(Format.count(validation.step))  validation: "
          + "\(Format.decimal(tally.natsPerToken, 4)) nats/token, word perplexity "
          + "\(Format.decimal(tally.wordPerplexity, 2)) over "
          + "\(Format.count(tally.words + tally.sentences, "word"))\(best)"
      )
    case .averageValidated(let validation):
      let tally = validation.tally
      Terminal.note(
        "step \(Format.count(validation.step))  validation of the average: "
          + "\(Format.decimal(tally.natsPerToken, 4)) nats/token, word perplexity "
          + "\(Format.decimal(tally.wordPerplexity, 2))")
    case .validationNotFinite(let step):
      Terminal.note(
        "warning: step \(Format.count(step)): the loss of the validation text is not finite")
    case .incident(let incident):
      Terminal.note("\(Terminal.styled("warning:", .yellow, on: .errors)) \(incident)")
    case .sampled(let sample):
      Terminal.note("step \(Format.count(sample.step))  sample: \(sample.texts.first ?? "")")
    case .saved(let path):
      if !Terminal.isInteractive { Terminal.note("saved \(path)") }
    }
  }

  private func describe(_ metrics: Metrics) -> String {
    var parts = [
      "step \(Format.count(metrics.step))/\(Format.count(steps))",
      "\(Format.decimal(metrics.natsPerToken, 4)) nats/token over "
        + Format.count(metrics.tokensCounted ?? 0),
      metrics.softmaxCandidates.map { "among \(Format.count($0))" }
        ?? "word ppl \(Format.decimal(metrics.wordPerplexity, 1))",
    ]
    if let speed = metrics.tokensPerSecond {
      parts.append("\(Format.count(Int(speed))) tokens/s")
    }
    if let peak = metrics.peakFraction { parts.append("\(Int(peak * 100)) % of peak") }
    if let skipped = metrics.skippedSteps { parts.append("\(Format.count(skipped)) skipped") }
    let left = Double(steps - metrics.step) * metrics.trainedSeconds / Double(max(1, metrics.step))
    parts.append("\(Format.duration(left)) left")
    return parts.joined(separator: "  ")
  }
}
