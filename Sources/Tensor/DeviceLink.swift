/// A point in the work of a device, which later work of a sibling can be made to wait for.
package struct WorkMark: Sendable {
  /// What the back end knows it by.
  package let point: any Sendable

  package init(_ point: any Sendable) { self.point = point }
}

/// What carries numbers between the devices of several ranks, without a way through this process's memory.
package protocol DeviceLink: Sendable {
  /// What it is, for a line of text.
  var description: String { get }

  /// Kernels in whose order the exchanges are done, beside other work of the device.
  var kernels: any Kernels { get }

  /// Sends elements to every rank and takes some from each, in the order of the work of ``kernels``; returns
  /// once they are there.
  ///
  /// - Parameters:
  ///   - sent: Contiguous, float32.
  ///   - outgoing: The elements of `sent` for each rank, by rank; none for this one.
  ///   - received: Contiguous, float32; perhaps the memory of `sent`, in places that are not sent.
  ///   - incoming: Where in `received` those of each rank go, by rank, as many as it sends.
  ///   - isShared: Whether another thread computes meanwhile, to which the processor is left; asked again
  ///     and again.
  /// - Throws: One sentence if a rank, a device or what is between them has failed; nothing can be carried
  ///   any more then.
  func exchange(
    _ sent: View, _ outgoing: [Range<Int>], into received: View, _ incoming: [Range<Int>],
    isShared: () -> Bool
  ) throws
}

/// Where work is done when it is asked for, nothing is beside anything.
extension Kernels {
  package func makeSibling() -> any Kernels { self }
  package func mark() -> WorkMark? { nil }
  package func follow(_ mark: WorkMark?) {}
}
