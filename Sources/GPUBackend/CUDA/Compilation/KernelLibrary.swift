import Foundation
package import Tensor

/// The compiled form of every file of kernels that a run uses: from the cache, or compiled once.
///
/// A file that is announced is compiled on a thread of its own while the run goes on; whoever wants it
/// earlier waits for it, or compiles it itself if nobody has begun.
package final class KernelLibrary: @unchecked Sendable {
  private let compiler: KernelCompiler
  private let cache: KernelCache
  private let threads: Int

  private enum State {
    case waiting
    case running
    case done(Result<[UInt8], DeviceError>)
  }

  private let change = NSCondition()
  // Touched under `change` alone.
  private var states: [KernelModule: State] = [:]
  private var waiting: [KernelModule] = []
  private var workers = 0
  private var compiled = 0

  /// - Parameters:
  ///   - compiler: For the card.
  ///   - cache: Where earlier runs have kept theirs.
  ///   - threads: Most that compile at a time.
  package init(_ compiler: KernelCompiler, cache: KernelCache, threads: Int) {
    self.compiler = compiler
    self.cache = cache
    self.threads = max(threads, 1)
  }

  /// Files compiled so far, those from the cache left out.
  package var compiledCount: Int { change.withLock { compiled } }

  /// Files that are compiled or were kept.
  package var readyCount: Int {
    change.withLock {
      states.values.count { if case .done(.success) = $0 { true } else { false } }
    }
  }

  /// Begins to make the images of files that will be wanted; returns at once.
  package func announce(_ modules: [KernelModule]) {
    change.withLock {
      for module in modules where states[module] == nil {
        states[module] = .waiting
        waiting.append(module)
      }
      while workers < min(threads, waiting.count) {
        CompilingThreads.begin()
        workers += 1
        Thread.detachNewThread { [self] in work() }
      }
    }
  }

  private func work() {
    while let module = next() {
      finish(module, Result { () throws(DeviceError) in try make(module) })
    }
  }

  /// A file that nobody has begun; without one, this worker ends.
  private func next() -> KernelModule? {
    change.withLock {
      while let module = waiting.popLast() {
        guard case .waiting? = states[module] else { continue }
        states[module] = .running
        return module
      }
      workers -= 1
      CompilingThreads.end()
      return nil
    }
  }

  private func finish(_ module: KernelModule, _ result: Result<[UInt8], DeviceError>) {
    change.withLock {
      states[module] = .done(result)
      change.broadcast()
    }
  }

  /// Machine code of a file; waits for it.
  ///
  /// - Throws: `DeviceError.failed` with the beginning of the compiler's log.
  package func image(_ module: KernelModule) throws(DeviceError) -> [UInt8] {
    change.lock()
    while true {
      switch states[module] {
      case .done(let result)?:
        change.unlock()
        return try result.get()
      case .running?:
        change.wait()
      case .waiting?, nil:
        states[module] = .running
        change.unlock()
        let result = Result { () throws(DeviceError) in try make(module) }
        finish(module, result)
        return try result.get()
      }
    }
  }

  private func make(_ module: KernelModule) throws(DeviceError) -> [UInt8] {
    let key = cache.key(module, compiler)
    if let kept = cache.load(key) { return kept }
    let image = try compiler.compile(module)
    change.withLock { compiled += 1 }
    cache.store(image, key)
    return image
  }
}
