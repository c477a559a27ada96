import Foundation

/// Makes elements ahead of time on its own thread.
///
/// Elements are returned in the order in which they were made. An error is thrown in its turn, after the
/// elements made before it, and again by every later call. When the prefetcher is released, its thread
/// is stopped and joined.
package final class Prefetcher<Element: Sendable> {
  private let queue: PrefetchQueue<Element>

  /// Starts making elements.
  ///
  /// - Parameters:
  ///   - capacity: Elements to make ahead, 1 to 4, the one in the making included.
  ///   - produce: Makes the next element, or returns `nil` at the end; must not be used elsewhere.
  package init(capacity: Int = 2, _ produce: sending @escaping () throws -> Element?) {
    precondition((1...4).contains(capacity), "\(capacity) elements ahead")
    let queue = PrefetchQueue<Element>(capacity: capacity)
    self.queue = queue
    // Unsafe because the closure need not be Sendable; it was sent here, and only the new thread
    // ever calls it.
    nonisolated(unsafe) let produce = produce
    let thread = Thread { queue.run(produce) }
    thread.name = "prefetch"
    thread.stackSize = 8 << 20
    thread.start()
  }

  deinit { queue.stop() }

  /// The next element, or `nil` after the last; waits until it is made.
  package func next() throws -> Element? { try queue.removeFirst() }
}

// Unchecked because every property is touched with `condition` locked only.
private final class PrefetchQueue<Element: Sendable>: @unchecked Sendable {
  private let condition = NSCondition()
  private let capacity: Int
  private var ready: [Element] = []
  private var ending: Result<Void, any Error>?
  private var isStopping = false
  private var isFinished = false

  init(capacity: Int) {
    self.capacity = capacity
  }

  func run(_ produce: () throws -> Element?) {
    var goesOn = true
    while goesOn {
      do {
        if let element = try produce() {
          goesOn = put(element)
        } else {
          goesOn = end(.success(()))
        }
      } catch {
        goesOn = end(.failure(error))
      }
    }
    condition.withLock {
      isFinished = true
      condition.broadcast()
    }
  }

  /// The next element, once it is there; nil behind the last.
  func removeFirst() throws -> Element? {
    try condition.withLock {
      while ready.isEmpty && ending == nil { condition.wait() }
      if ready.isEmpty {
        try ending?.get()
        return nil
      }
      condition.broadcast()
      return ready.removeFirst()
    }
  }

  func stop() {
    condition.withLock {
      isStopping = true
      condition.broadcast()
      while !isFinished { condition.wait() }
    }
  }

  /// Waits for room before the next element is made, so that memory stays bounded.
  private func put(_ element: Element) -> Bool {
    condition.withLock {
      ready.append(element)
      condition.broadcast()
      while ready.count >= capacity && !isStopping { condition.wait() }
      return !isStopping
    }
  }

  private func end(_ result: Result<Void, any Error>) -> Bool {
    condition.withLock {
      ending = result
      condition.broadcast()
      return false
    }
  }
}
