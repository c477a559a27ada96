import ArgumentParser
import Backends
import CommandSupport
import Deterministic
import Eval
import Foundation
import LMData
import Model
import Roofline
import Storage
import Tensor
import Tokenize
import Train

@main
struct LMTrain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lm-train",
    abstract: "Train a causal decoder on shards made by lm-tokenize.",
    discussion: """
      SIGINT (Ctrl-C), SIGTERM and SIGHUP save a checkpoint and end the run;
      --resume takes it up with the same bits as if it had never stopped, and
      --resume --steps N makes the run longer while its rate has not depended on
      its end. A run folder is trained in by one process at a time. The checkpoint
      with the best validation is kept beside the newest ones and named at the
      end. --dry-run says what a run needs; --assume-1bw plans for the benchmark
      without having it.

      EXAMPLES

        lm-train --data data --output checkpoints/first --preset quickstart
        lm-train --data data --output checkpoints/h16 --preset news \\
          --attention hierarchical:blockSize=32
        lm-train --output checkpoints/first --resume
        lm-train --data data --output checkpoints/yoso \\
          --attention yoso:hashes=32,bits=9
        lm-train --data data --preset h1d-53m --dry-run
        lm-train --assume-1bw --preset h1d-53m --dry-run
        lm-train --data data --output checkpoints/first --sample-every 250

      The run folder holds metrics.jsonl and the same numbers for TensorBoard
      (tensorboard --logdir RUN); lm-eval report RUN makes one page of them.

      SIGNALS

      SIGINT, SIGTERM   save a checkpoint and leave with 130 or 143; a second
                        one of these leaves at once, unsaved
      SIGHUP            save and leave with 129: a closed terminal, a lost ssh;
                        under nohup nothing happens
      SIGUSR1           save and leave with 138: batch systems send it before
                        the time is up (sbatch --signal=USR1@120)
      SIGUSR2           save and go on

      The exit code is 128 and the number of the first signal, so that a script
      can tell a run to be taken up from one that has finished (0) or failed (1).

      ONE AT A TIME

      RUN/lock names the process that trains: command, host, process number
      and since when. A second lm-train on the folder is refused. What a killed
      process of this machine has left is taken over by itself; of another
      machine nobody can tell: once it is certain that the process is gone,
      remove RUN/lock. lm-eval and lm-sample read a run while it is trained.
      """ + ExitStatus.help)

  @Option(
    help: "Folder of shards made by lm-tokenize; --resume finds those of the run by itself.")
  var data: String?

  @Option(help: "Run folder for configuration, metrics and checkpoints.")
  var output: String?

  @Flag(help: "Continue the run in --output from its newest good checkpoint.")
  var resume = false

  @Flag(help: "Print parameters, memory, FLOPs and estimated time, then stop.")
  var dryRun = false

  @Flag(help: "With --dry-run: print one JSON object instead of the table.")
  var json = false
  @Flag(
    name: .customLong("assume-1bw"),
    help: "With --dry-run, in place of --data: plan for the One Billion Word benchmark.")
  var assumesBenchmark = false

  @Option(help: "With --assume-1bw: tokens of the tokenizer (those of the preset's recipe).")
  var vocabSize: Int?

  @Flag(help: "List the presets, then stop.")
  var listPresets = false

  @Flag(help: "List the attentions and their options, then stop.")
  var listAttentions = false

  @Option(
    help: "Threads; results do not depend on them (all processors that this process may use).")
  var threads: Int?

  @Option(
    help: ArgumentHelp(
      "cpu, cuda (the first card), cuda:N, or auto: a card if there is one that works.",
      valueName: "device"))
  var device = "cpu"

  @Flag(help: "List the devices of this machine, then stop.")
  var listDevices = false

  @OptionGroup(title: "What people change")
  var options: RunOptions

  static func main() {
    runCommand {
      // From the first moment on: nothing has been begun that could be lost.
      Interrupt.handle(
        message: "lm-train: stopping before the first step",
        saving: "lm-train: saving a checkpoint after this step")
    }
  }

  func validate() throws {
    try ThreadCount.validate(threads)
    if listPresets || listAttentions || listDevices { return }
    if assumesBenchmark {
      guard dryRun, data == nil, options.config == nil, !resume else {
        throw ValidationError(
          "--assume-1bw goes with --dry-run and a preset, without --data, --config and --resume")
      }
    } else {
      if data == nil, !resume { throw ValidationError("give the shards with --data DIR") }
      if vocabSize != nil {
        throw ValidationError("--vocab-size goes with --assume-1bw; lm-tokenize decides otherwise")
      }
    }
    if output == nil, !dryRun { throw ValidationError("give the run folder with --output RUN") }
    if json, !dryRun { throw ValidationError("--json belongs to --dry-run") }
    if options.preset != nil, options.config != nil {
      throw ValidationError("give --preset or --config, not both")
    }
  }

  func run() throws {
    if listDevices { return print(Backend.listing) }
    if listPresets {
      return print(PlanTable.presets())
    }
    if listAttentions {
      for kind in AttentionKind.allCases {
        print(kind.rawValue)
        for (key, meaning) in kind.help {
          print(
            "  " + key.padding(toLength: max(12, key.count), withPad: " ", startingAt: 0) + meaning)
        }
      }
      return
    }
    Parallel.threads = ThreadCount.resolve(threads, command: "lm-train")
    let folder = assumesBenchmark ? nil : try dataFolder()
    // Before anything in the run folder is read, and until all of it is written.
    let lock = try dryRun ? nil : lockRun(output ?? "", data: folder ?? "")
    defer { lock?.release() }
    let dataSet = try folder.map { try DataSet(directory: $0) }
    let manifest = try dataSet?.manifest ?? assumedManifest()
    let config = try runConfig(manifest)
    try config.validate()
    if config.schedule.warmup > config.steps {
      Terminal.note(
        "lm-train: note: the warm-up of \(Format.count(config.schedule.warmup, "step")) is longer than "
          + "the run of \(Format.count(config.steps, "step")), so the rate never comes to its peak; "
          + "give --warmup or --steps")
    }
    let tokenizer = try dataSet.map { try Tokenizer(of: $0) }
    try Self.leaveIfAsked()
    let kernels = try Backend.named(device).makeKernels {
      Terminal.note("lm-train: note: \($0)")
    }
    let peak = try MatrixPeak.measure(kernels)
    try Self.leaveIfAsked()
    let forecast = PlanTable.forecast(config, dataSet)
    let work = try TrainingPlan.work(config, on: kernels, manifest: manifest)
    // What kernels have borrowed for it is part of the plan already.
    kernels.releaseWorkingMemory()
    let plan = try TrainingPlan(
      config, on: kernels, manifest: manifest, forecast: forecast, work: work,
      programBytes: ProcessMemory.resident)
    if json {
      print(String(decoding: try JSONFile.encode(plan), as: UTF8.self), terminator: "")
    } else {
      print(PlanTable.describe(config, plan, peak: peak, manifest: manifest))
      if assumesBenchmark { print(PlanTable.assumption) }
    }
    guard let dataSet, let tokenizer, !dryRun else { return }
    try MemoryLimit.require(
      kernels.freeBytes == nil ? plan.bytes - plan.programBytes : plan.deviceBytes, on: kernels,
      for: "the run",
      advice:
        "choose a smaller model, fewer --micro-batch-tokens, or --stream-length N in place of "
        + "whole sentences (the largest micro-batch has \(Format.count(plan.positions)) tokens)")
    try kernels.reserveWorkingMemory(work)
    try train(
      config, dataSet, tokenizer, on: kernels, peak: peak, run: output ?? "", lock: lock)
  }

  /// Makes this process the only one that trains in a run folder.
  private func lockRun(_ run: String, data: String) throws -> FileLock {
    try RunPlace.check(run, data: data, isResumed: resume)
    if resume, !Files.isDirectory(run) {
      throw TrainingError.nothingToResume(run: run, reasons: [])
    }
    return try FileLock(of: run, at: run + "/" + RunPlace.lockName)
  }

  /// Ends the program if a signal has asked for it before the first step.
  private static func leaveIfAsked() throws {
    if Interrupt.isRequested { throw Interrupt.exitCode }
  }

  /// The tokenizer of a data set: its file, stored with every checkpoint, and what its ids spell.
  private struct Tokenizer {
    let file: [UInt8]
    let tokens: TokenTable
    /// The same tokenizer in files of other programs, by name.
    let forms: [String: [UInt8]]

    init(of dataSet: DataSet) throws {
      file = try Files.contents(of: dataSet.tokenizerPath)
      let model = try SentencePieceModel(serialized: file, path: dataSet.tokenizerPath)
      guard model.special == dataSet.special,
        model.vocabularySize == dataSet.manifest.tokenizer.vocabularySize
      else {
        throw TrainingError.invalid(
          "\(dataSet.directory)/\(Manifest.fileName) is damaged: it gives the tokenizer "
            + "\(dataSet.manifest.tokenizer.vocabularySize) tokens and other special ids than "
            + "\(dataSet.tokenizerPath) has; run lm-tokenize again")
      }
      tokens = model.tokenTable()
      forms = HuggingFaceTokenizer.files(of: model)
      if let obstacle = HuggingFaceTokenizer.obstacle(model) {
        Terminal.note(
          "note: AutoTokenizer of transformers cannot open this tokenizer (\(obstacle)); open the "
            + "tokenizer.model of a checkpoint with sentencepiece")
      }
    }
  }

  /// The shards: those that are given, or those that a run which goes on was trained on.
  private func dataFolder() throws -> String {
    if let data { return data }
    guard let output, Files.exists(RunFolder.configPath(output)) else {
      throw TrainingError.nothingToResume(run: output ?? "", reasons: [])
    }
    return try RunData.find(run: output)
  }

  // MARK: Configuration

  /// The benchmark with as many tokens as were asked for.
  private func assumedManifest() throws -> Manifest {
    let preset = try Preset.named(options.preset ?? PlanTable.defaultPreset)
    return AssumedData.manifest(vocabularySize: vocabSize ?? preset.vocabularySize)
  }

  /// The configuration of the run: its own if it goes on, otherwise preset or file with changes.
  private func runConfig(_ manifest: Manifest) throws -> RunConfig {
    if resume, let output {
      let stored = try RunFolder.resumedConfig(output) { Terminal.note("lm-train: \($0)") }
      var changed = stored
      if options.preset.map({ $0 != stored.preset }) ?? false || options.config != nil {
        throw TrainingError.invalid(
          "--resume goes on with \(RunFolder.configPath(output)), preset \(stored.preset); leave out "
            + "--preset and --config")
      }
      try options.apply(to: &changed, manifest: manifest)
      // What is reported when may change; what is computed may not. The trainer knows whether the
      // number of steps may.
      if let difference = options.difference(from: stored)
        ?? stored.difference(from: changed, taken: 0)
      {
        throw TrainingError.invalid(
          "--resume goes on with \(RunFolder.configPath(output)), which has \(difference.found), not "
            + "\(difference.expected); leave out that option, or start another run")
      }
      return changed
    }
    var config: RunConfig
    if let path = options.config {
      config = try RunFolder.givenConfig(path) { Terminal.note("lm-train: \($0)") }
    } else {
      config = try Preset.named(options.preset ?? PlanTable.defaultPreset)
        .config(vocabularySize: manifest.tokenizer.vocabularySize)
    }
    try options.apply(to: &config, manifest: manifest)
    return config
  }

  // MARK: Training

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

  private func train(
    _ config: RunConfig, _ dataSet: DataSet, _ tokenizer: Tokenizer, on kernels: any Kernels,
    peak: Double, run: String, lock: FileLock?
  ) throws {
    if !resume { try RunFolder.requireUnused(run) }
    try Self.leaveIfAsked()
    let printer = ProgressPrinter(steps: config.steps)
    let trainer = try Trainer(
      config: config, on: kernels, dataSet: dataSet, tokenTable: tokenizer.tokens,
      tokenizer: tokenizer.file, tokenizerForms: tokenizer.forms, run: run, resume: resume,
      report: { printer.show($0) })
    trainer.peak = peak
    trainer.measurePeak = { try? MatrixPeak.measure(kernels, in: $0) }
    trainer.shouldStop = { Interrupt.isRequested }
    trainer.shouldSave = { Interrupt.takeSavingRequest() }
    trainer.willSave = { try lock?.confirm() }
    try Self.leaveIfAsked()
    Interrupt.handle(message: "lm-train: saving a checkpoint; once more ends at once, unsaved")
    try RunFolder.write(config, run: run)
    try RunData(run: run, dataSet: dataSet).write(to: run)
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
        "finished \(Format.count(config.steps, "step")); "
          + NextCommand.evaluation(of: run, dataSet, config))
    case .interrupted(let step):
      Terminal.note(
        "stopped after step \(Format.count(step)), all of it saved; go on with: "
          + NextCommand.resumption(of: run, dataSet))
      throw Interrupt.exitCode
    }
  }
}
