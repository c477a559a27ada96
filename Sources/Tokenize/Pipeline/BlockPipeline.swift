import Foundation
import Storage

/// Runs a task over files in parallel, both over files and inside of them, in bounded memory.
///
/// Every thread reads, works and writes in turn: a file is read by one thread at a time and its
/// results are taken in by one thread at a time, in order. A second file is opened only when the
/// threads would wait for the first. The order of what a task sees for one file never depends on
/// the number of threads.
///
/// Unchecked because all state is guarded by `condition`, but for readers, which belong to the
/// thread that has set `isReading`.
final class BlockPipeline<Task: BlockTask>: @unchecked Sendable {
  /// Blocks of a thread that may wait: enough to go on while another waits for the disk.
  private static var blocksAhead: Int { 4 }

  private let task: Task
  private let paths: [String]
  private let threads: Int
  private let lineEnds: LineEnds
  private let isCancelled: @Sendable () -> Bool
  private let report: @Sendable (CorpusProgress) -> Void

  private let condition = NSCondition()
  private var active: [Job] = []
  private var nextFile = 0
  private var blocksInFlight = 0
  private var failure: (file: Int, error: TokenizerError)?
  private var progress = CorpusProgress()
  private var notesByFile: [[String]]

  /// A file being worked on.
  private final class Job {
    let file: Int
    let reader: BlockReader
    var isReading = false
    var isAtEnd = false
    var isConsuming = false
    var blocksRead = 0
    var blocksConsumed = 0
    var waiting: [Int: Task.Product] = [:]
    var diskBytes = 0

    init(file: Int, path: String, lineEnds: LineEnds) throws(TokenizerError) {
      self.file = file
      reader = try BlockReader(path: path, lineEnds: lineEnds)
    }
  }

  /// What is unusual in the files, in their order; known after the run.
  var notes: [String] { condition.withLock { notesByFile.flatMap { $0 } } }

  init(
    task: Task, paths: [String], threads: Int, lineEnds: LineEnds = .newline,
    isCancelled: @escaping @Sendable () -> Bool,
    report: @escaping @Sendable (CorpusProgress) -> Void
  ) {
    precondition(threads >= 1)
    self.task = task
    self.paths = paths
    self.threads = threads
    self.lineEnds = lineEnds
    notesByFile = paths.map { _ in [] }
    self.isCancelled = isCancelled
    self.report = report
    for path in paths {
      // What cannot be read is reported by whoever opens it.
      progress.totalDiskBytes += (try? Files.size(of: PipeSpool.readable(path))) ?? 0
    }
  }

  /// Works through all the files.
  ///
  /// - Throws: The error of the first file, in order of the files, that had one.
  func run() throws(TokenizerError) {
    let group = DispatchGroup()
    for _ in 0..<threads {
      group.enter()
      let thread = Thread { [self] in
        work()
        group.leave()
      }
      thread.stackSize = 4 << 20
      thread.start()
    }
    group.wait()
    if let failure { throw failure.error }
  }

  private func work() {
    let block = TextBlock()
    var worker: Task.Worker?
    condition.lock()
    while failure == nil {
      if isCancelled() {
        fail(file: -1, .interrupted)
      } else if let job = active.first(where: { !$0.isConsuming && isReady($0) }) {
        consume(job)
      } else if blocksInFlight < Self.blocksAhead * threads,
        let job = active.first(where: { !$0.isReading && !$0.isAtEnd })
      {
        read(job, into: block, with: &worker)
      } else if active.count < threads && nextFile < paths.count {
        openNext()
      } else if active.isEmpty && nextFile == paths.count {
        break
      } else {
        condition.wait()
      }
    }
    condition.unlock()
  }

  /// Whether the next result of a file is there, or the file can be finished.
  private func isReady(_ job: Job) -> Bool {
    job.waiting[job.blocksConsumed] != nil
      || job.isAtEnd && job.blocksConsumed == job.blocksRead
  }

  private func openNext() {
    let file = nextFile
    nextFile += 1
    do {
      active.append(try Job(file: file, path: paths[file], lineEnds: lineEnds))
    } catch {
      fail(file: file, error)
    }
    condition.broadcast()
  }

  private func read(_ job: Job, into block: TextBlock, with worker: inout Task.Worker?) {
    job.isReading = true
    blocksInFlight += 1
    condition.unlock()
    var isBlock = false
    var product: Task.Product?
    do throws(TokenizerError) {
      isBlock = try job.reader.next(into: block)
      let diskBytes = job.reader.diskBytes
      condition.lock()
      job.isReading = false
      if isBlock {
        job.blocksRead += 1
        progress.textBytes += block.count
      } else {
        job.isAtEnd = true
        notesByFile[job.file] = job.reader.form.notes(path: paths[job.file], lineEnds: lineEnds)
      }
      progress.diskBytes += diskBytes - job.diskBytes
      job.diskBytes = diskBytes
      let snapshot = progress
      condition.broadcast()
      condition.unlock()
      report(snapshot)
      if isBlock {
        if worker == nil { worker = task.makeWorker() }
        if let worker { product = try task.process(block, ofFile: job.file, with: worker) }
      }
      condition.lock()
    } catch {
      condition.lock()
      fail(file: job.file, error)
    }
    if let product { job.waiting[block.number] = product } else { blocksInFlight -= 1 }
    condition.broadcast()
  }

  private func consume(_ job: Job) {
    job.isConsuming = true
    let product = job.waiting.removeValue(forKey: job.blocksConsumed)
    condition.unlock()
    var caught: TokenizerError?
    do throws(TokenizerError) {
      if let product {
        try task.consume(product, ofFile: job.file)
      } else {
        try task.finish(file: job.file)
      }
    } catch {
      caught = error
    }
    condition.lock()
    job.isConsuming = false
    if let caught { fail(file: job.file, caught) }
    if product != nil {
      job.blocksConsumed += 1
      blocksInFlight -= 1
    } else {
      active.removeAll { $0 === job }
    }
    condition.broadcast()
  }

  private func fail(file: Int, _ error: TokenizerError) {
    if let known = failure, known.file <= file { return }
    failure = (file, error)
    condition.broadcast()
  }
}
