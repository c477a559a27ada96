import ArgumentParser
import Backends
import CommandSupport
import Communication
import Deterministic
import Eval
import Foundation
import LMData
import Provenance
import Model
import Roofline
import Storage
import Tensor
import Tokenize
import Train

@main
struct LMTrain: ParsableCommand, RankedCommand {
  static let configuration = CommandConfiguration(
    commandName: "lm-train",
    abstract: "Train a causal decoder on shards made by lm-tokenize.",
    discussion: """
      SIGINT (Ctrl-C), SIGTERM and SIGHUP save a checkpoint and end the run;
      --resume takes it up with the same bits as if it had never stopped, and
      --resume --steps N makes the run longer while its rate has not depended on
      its end. A run folder is trained in by one process at a time. The checkpoint
      with the best validation is kept beside the newest ones and named at the
      end; every command takes it as RUN/best. --init-from begins a new run with
      the weights of another or of a Llama from elsewhere. --dry-run says what a
      run needs; --assume-1bw plans for the benchmark without having it.

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
        lm-train --data other --output checkpoints/tuned --epochs 2 --lr 3e-4 \\
          --init-from checkpoints/first/best --patience 3

      Several processes, each with some of the shares of every step:

        mpirun -n 4 lm-train --data data --output checkpoints/first
        srun --mpi=pmix lm-train --output checkpoints/first --resume

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

      --minutes, and the end of a job that Slurm gives in SLURM_JOB_END_TIME, save
      and leave with 138 as SIGUSR1 does, so early that there is time for it.

      SEVERAL PROCESSES

      Started by mpirun, mpiexec or srun, all processes train one run. Every step is
      cut into shares (--gradient-shares, 8 where several processes begin a run),
      whose gradients are added in one order: the weights are the same bits for any
      number of processes up to that of the shares, one included, and a run may go
      on with another number. Rank 0 writes and prints. SIGUSR1 to the launcher
      saves and stops all; SIGTERM and SIGINT do where the launcher leaves time.
      LM_MPI_LIBRARY names the MPI library if the launcher's own is not found.
      With --device cuda each process of a host takes the next card. Cards exchange
      by NCCL where every process has one to itself, else through MPI; LM_NCCL=off
      leaves NCCL alone, LM_NCCL=on refuses to go without. docs/many-machines.md has
      recipes.

      ONE AT A TIME

      RUN/lock names the process that trains: command, host, process number
      and since when. A second lm-train on the folder is refused. What a killed
      process of this machine has left is taken over by itself; of another
      machine nobody can tell: once it is certain that the process is gone,
      remove RUN/lock. lm-eval and lm-sample read a run while it is trained.
      """ + ExitStatus.help, version: Program.version)

  @Option(
    help: "Folder of shards made by lm-tokenize; --resume finds those of the run by itself.",
    completion: .directory)
  var data: String?

  @Option(
    help: "Run folder for configuration, metrics and checkpoints.", completion: .directory)
  var output: String?

  @Flag(
    help: ArgumentHelp(
      "Continue the run in --output from its newest good checkpoint; with --data, begin it where "
        + "nothing is there yet."))
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
      "Minutes after which the run is saved and this program has ended. The learning rate still comes down "
        + "with --steps; --resume goes on."))
  var minutes: Double?

  @Option(help: "With --dry-run: plan for so many processes.")
  var ranks: Int?

  @Option(
    help: ArgumentHelp(
      "cpu, cuda (the first card; of several processes each the next one), cuda:N, or auto: a card if "
        + "there is one that works.",
      valueName: "device"),
    completion: .list(["cpu", "cuda", "auto"]))
  var device = "cpu"

  @Flag(help: "List the devices of this machine, then stop.")
  var listDevices = false

  @OptionGroup(title: "What people change")
  var options: RunOptions

  static func main() {
    // From the first moment on: nothing has been begun that could be lost.
    runCommand(
      with: {
        [("zstd", Zstd.version), ("ruler", OpenBLAS.configuration), ("devices", Backend.listing)]
      }, preparing: { handleSignals() })
  }

  private static func handleSignals() {
    Interrupt.handle(
      message: "lm-train: stopping before the first step",
      saving: "lm-train: saving a checkpoint after this step")
  }

  func validate() throws {
    try ThreadCount.validate(threads)
    if listPresets || listAttentions || listDevices { return }
    if assumesBenchmark {
      guard dryRun, data == nil, options.config == nil, !resume, options.initFrom == nil else {
        throw ValidationError(
          "--assume-1bw goes with --dry-run and a preset, without --data, --config, --init-from and "
            + "--resume")
      }
    } else {
      if data == nil, !resume { throw ValidationError("give the shards with --data DIR") }
      if vocabSize != nil {
        throw ValidationError("--vocab-size goes with --assume-1bw; lm-tokenize decides otherwise")
      }
    }
    if let minutes, !(minutes > 0 && minutes.isFinite) {
      throw ValidationError("--minutes is \(minutes), expected more than 0")
    }
    if let ranks {
      guard dryRun else { throw ValidationError("--ranks belongs to --dry-run") }
      guard (1...4_096).contains(ranks) else {
        throw ValidationError("--ranks is \(ranks), expected 1 to 4,096")
      }
    }
    if output == nil, !dryRun { throw ValidationError("give the run folder with --output RUN") }
    if json, !dryRun { throw ValidationError("--json belongs to --dry-run") }
    if options.preset != nil, options.config != nil {
      throw ValidationError("give --preset or --config, not both")
    }
  }

  mutating func run() throws {
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
    let limit = TimeLimit(minutes: minutes)
    let communicator = try Ranks.join()
    // MPI libraries take some signals for themselves as they start.
    if communicator.size > 1 { Self.handleSignals() }
    Parallel.threads = ThreadCount.resolve(threads, command: "lm-train")
    // Before anything in the run folder is read, and until all of it is written.
    var lock: FileLock?
    try communicator.onRoot {
      if resume, data != nil, let output, !RunFolder.isBegun(output) {
        Terminal.note("lm-train: there is nothing to resume in \(output) yet: a new run begins")
        resume = false
      }
      lock = try dryRun ? nil : lockRun(output ?? "", data: data ?? dataFolder())
    }
    defer { lock?.release() }
    resume = try communicator.broadcast(resume ? 1 : 0) == 1
    let backend = try Backend.named(device, localRank: Ranks.localRank)
      .chosen { Terminal.note("lm-train: note: \($0)") }
    let work = try communicator.together {
      try prepare(processes: ranks ?? communicator.size, on: backend)
    }
    let kernels = try backend.makeKernels(work.config.precision ?? .float32) { note in
      if communicator.isRoot { Terminal.note("lm-train: note: \(note)") }
    }
    try RankFingerprint(work.config, work.dataSet, kernels).requireSame(communicator)
    try Self.leaveIfAsked()
    // All of them use their processors at once.
    let peak = try MatrixPeak.measure(kernels) * Double(communicator.size)
    try Self.leaveIfAsked()
    let (plan, need) = try communicator.together {
      let forecast = PlanTable.forecast(work.config, work.dataSet)
      let need = try TrainingPlan.work(work.config, on: kernels, manifest: work.manifest)
      // What kernels have borrowed for it is part of the plan already.
      kernels.releaseWorkingMemory()
      let plan = try TrainingPlan(
        work.config, on: kernels, ranks: ranks ?? communicator.size, manifest: work.manifest,
        forecast: forecast, work: need, programBytes: ProcessMemory.resident)
      return (plan, need)
    }
    if json {
      print(String(decoding: try JSONFile.encode(plan), as: UTF8.self), terminator: "")
    } else {
      print(
        PlanTable.describe(
          work.config, plan, peak: peak, manifest: work.manifest,
          device: kernels.freeBytes == nil ? nil : kernels.name))
      if assumesBenchmark { print(PlanTable.assumption) }
    }
    guard let dataSet = work.dataSet, let tokenizer = work.tokenizer, !dryRun else { return }
    Ranks.describe(communicator, threads: Parallel.threads, command: "lm-train")
    // Before free memory is looked at: it takes some.
    let way: (link: (any DeviceLink)?, description: String?) =
      communicator.size > 1 ? try Backend.link(kernels, communicator) : (nil, nil)
    if let description = way.description {
      Terminal.note("lm-train: gradients and weights go between cards by \(description)")
    }
    try communicator.together {
      // Processes of one host have its memory together.
      let bytes =
        kernels.freeBytes == nil
        ? (plan.bytes - plan.programBytes) * Ranks.onThisHost : plan.deviceBytes
      try MemoryLimit.require(
        bytes, on: kernels, for: "the run",
        advice:
          "choose a smaller model, fewer --micro-batch-tokens, or --stream-length N in place of "
          + "whole sentences (the largest micro-batch has \(Format.count(plan.positions, "token")))"
      )
      if communicator.isRoot, !resume { try RunFolder.requireUnused(output ?? "") }
      try kernels.reserveWorkingMemory(need)
    }
    try train(
      work.config, dataSet, tokenizer, on: kernels, with: communicator, linkedBy: way.link,
      peak: peak, limit: limit, lock: lock)
  }

  /// What is trained on what.
  private struct Work {
    let config: RunConfig
    let dataSet: DataSet?
    let manifest: Manifest
    let tokenizer: Tokenizer?
  }

  private func prepare(processes: Int, on backend: Backend) throws -> Work {
    let dataSet = try assumesBenchmark ? nil : DataSet(directory: dataFolder())
    let manifest = try dataSet?.manifest ?? assumedManifest()
    let config = try runConfig(manifest, dataSet, processes: processes, on: backend)
    try config.validate()
    if config.report.patience != nil,
      manifest.totals(of: config.data.validSplit).sentences == 0
    {
      throw TrainingError.invalid(
        "--patience waits for better validations, but the data has no text in the split "
          + "\(config.data.validSplit); leave it out, or give lm-tokenize --valid")
    }
    if config.schedule.warmup > config.steps {
      Terminal.note(
        "lm-train: note: the warm-up of \(Format.count(config.schedule.warmup, "step")) is longer than "
          + "the run of \(Format.count(config.steps, "step")), so the rate never comes to its peak; "
          + "give --warmup or --steps")
    }
    return Work(
      config: config, dataSet: dataSet, manifest: manifest,
      tokenizer: try dataSet.map { try Tokenizer(of: $0) })
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
  static func leaveIfAsked() throws {
    if Interrupt.isRequested { throw Interrupt.exitCode }
  }
}
