import ArgumentParser
import CommandSupport
import Communication
import Deterministic
import Eval
import Foundation
import LMData
import Model
import Provenance
import Roofline
import Storage
import Tensor
import Train

/// The run itself, and what is said at its end.
extension LMTrain {
  /// The checkpoint with the best validation, which is kept beside the newest.
  private static func describeBest(_ trainer: Trainer, run: String) -> String? {
    guard let best = trainer.best else { return nil }
    let figure = "\(Format.decimal(best.tally.wordPerplexity, 2)) word perplexity"
    let path = CheckpointStore(run: run).path(step: best.step)
    if best.step == trainer.step { return "best on validation: the last step, \(figure)" }
    guard Files.isDirectory(path) else { return nil }
    return "best on validation: step \(Format.count(best.step)), \(figure); it is kept and "
      + "scored with --checkpoint \(path), the run itself means the last step"
  }

  func train(
    _ config: RunConfig, _ dataSet: DataSet, _ tokenizer: Tokenizer, on kernels: any Kernels,
    with communicator: any Communicator, linkedBy link: (any DeviceLink)?, peak: Double,
    limit: TimeLimit?, lock: FileLock?
  ) throws {
    let run = output ?? ""
    try Self.leaveIfAsked()
    let printer = ProgressPrinter(steps: config.steps)
    let trainer = try Trainer(
      config: config, on: kernels, with: communicator, linkedBy: link, dataSet: dataSet,
      tokenTable: tokenizer.tokens, tokenizer: tokenizer.file,
      tokenizerForms: tokenizer.forms(beside: config.model), run: run, resume: resume,
      report: { printer.show($0) })
    trainer.peak = peak
    trainer.measurePeak = {
      (try? MatrixPeak.measure(kernels, in: $0)).map { $0 * Double(communicator.size) }
    }
    // Asked after every step.
    trainer.shouldStop = { limit?.isReached() ?? false || Interrupt.isRequested }
    trainer.shouldSave = { Interrupt.takeSavingRequest() }
    trainer.willSave = { try lock?.confirm() }
    try Self.leaveIfAsked()
    Interrupt.handle(message: "lm-train: saving a checkpoint; once more ends at once, unsaved")
    try communicator.onRoot {
      try RunFolder.write(config, run: run)
      try RunData(run: run, dataSet: dataSet).write(to: run)
      try RunStart(
        step: trainer.step, device: device, threads: Parallel.threads, ranks: communicator.size,
        initialWeights: config.initialWeights?.sentence, provenance: .now()
      ).add(to: run) { Terminal.note("lm-train: \($0)") }
    }
    let wasFinished = trainer.step == config.steps
    switch try trainer.train() {
    case .finished:
      if wasFinished {
        Terminal.note(
          "\(run) was finished already; --resume --steps N makes it longer where the schedule allows"
        )
      }
      if let best = Self.describeBest(trainer, run: run) { Terminal.note(best) }
      Terminal.note(
        "finished \(Format.count(config.steps, "step"))"
          + (trainer.skippedSteps > 0
            ? ", \(Format.count(trainer.skippedSteps)) of them skipped; " : "; ")
          + NextCommand.evaluation(of: run, dataSet, config))
    case .stoppedEarly(let step):
      if let best = trainer.best {
        Terminal.note(
          "ended after step \(Format.count(step)) of \(Format.count(config.steps)): "
            + "\(Format.count(config.report.patience ?? 0, "validation")) in a row "
            + "\(config.report.patience == 1 ? "was" : "were") no better than that of step "
            + "\(Format.count(best.step)); --resume with more --patience, or 0, goes on")
      }
      if let best = Self.describeBest(trainer, run: run) { Terminal.note(best) }
      Terminal.note(
        NextCommand.evaluation(of: run + "/" + CheckpointFolder.bestName, dataSet, config))
    case .interrupted(let step):
      if limit?.isReached() ?? false, Interrupt.signal == 0 {
        Terminal.note(
          "the time is up after \(Format.count(step)) of \(Format.count(config.steps, "step")); the learning "
            + "rate follows the steps and is \(PlanTable.number(config.rate(step: step))) of at most "
            + "\(PlanTable.number(config.optimizer.rate)): what is left of its decay comes when the run goes on"
        )
      }
      Terminal.note(
        "stopped after step \(Format.count(step)), all of it saved; go on with: "
          + NextCommand.resumption(of: run, dataSet))
      // One of the processes may have had the signal alone; a time limit ends as SIGUSR1 does.
      let signal = try communicator.maximum(Int(Interrupt.signal))
      lock?.release()
      Ranks.finish()
      throw ExitCode(128 + Int32(signal == 0 ? Int(SIGUSR1) : signal))
    }
  }
}
