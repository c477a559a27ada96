import Synchronization

/// The only owner of a device's memory: so many numbers of one type, zeroed when they are made.
///
/// Parameters, gradients, moments and activations are each one buffer, carved into views, so that
/// zeroing, norms, updates and saving are single loops over contiguous memory.
///
/// `@unchecked Sendable`: the address never changes after `init`. Which thread writes which part
/// is decided by the back end, whose pieces of work never overlap.
@usableFromInline package final class Buffer: @unchecked Sendable {
  /// Who can follow the address of a buffer.
  package enum Home: Sendable {
    /// This process.
    case host
    /// The back end that made it, and nobody else.
    case device
  }

  package let count: Int
  package let type: NumberType
  package let home: Home
  /// The first number; only its back end may follow it.
  package let address: UnsafeMutableRawPointer
  /// Bytes that the buffer holds; none of memory that is borrowed.
  package let bytes: Int
  /// The address, if it is one of single precision that this process can follow; `base` of the module
  /// Host for those who may.
  @usableFromInline package let floats: UnsafeMutablePointer<Float>?
  private let release: @Sendable () -> Void

  private static let held = Atomic<Int>(0)
  private static let made = Atomic<Int>(0)

  /// Bytes of all buffers that exist; borrowed memory does not count.
  package static var allocatedBytes: Int { held.load(ordering: .relaxed) }

  /// Buffers that have been allocated so far.
  package static var allocations: Int { made.load(ordering: .relaxed) }

  /// Numbers of a buffer that no machine has; a plan of more says so many, and none overflows.
  package static let mostNumbers = 1 << 58

  /// No memory, for plans that only count.
  package static let nothing = Buffer(
    address: .allocate(byteCount: 1, alignment: 1), count: 0, home: .device, bytes: 0
  ) {}

  /// Takes charge of memory that a back end has allocated, or that somebody else owns.
  ///
  /// - Parameters:
  ///   - address: The first number; where `home` is the host, aligned for its type.
  ///   - count: How many numbers.
  ///   - type: What each of them is.
  ///   - home: Who can follow the address.
  ///   - bytes: Bytes that were allocated; 0 for borrowed memory.
  ///   - release: Gives the memory back, or lets its owner go; called once.
  package init(
    address: UnsafeMutableRawPointer, count: Int, type: NumberType = .float32, home: Home,
    bytes: Int, release: @escaping @Sendable () -> Void
  ) {
    self.address = address
    self.count = count
    self.type = type
    self.home = home
    self.bytes = bytes
    self.release = release
    floats =
      home == .host && type == .float32
      ? address.assumingMemoryBound(to: Float.self) : nil
    if bytes > 0 {
      Self.held.wrappingAdd(bytes, ordering: .relaxed)
      Self.made.wrappingAdd(1, ordering: .relaxed)
    }
  }

  deinit {
    release()
    Self.held.wrappingSubtract(bytes, ordering: .relaxed)
  }
}
