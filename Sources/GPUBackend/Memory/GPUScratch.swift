import Foundation
import Tensor

/// Working memory of operations: one piece of the card's memory, as large as any has asked for.
///
/// The work of a card is done in order, so the next operation may write where the last one still
/// reads. Operations that borrow come one at a time, whatever thread they come from.
final class GPUScratch: @unchecked Sendable {
  private let driver: any GPUDriver
  private let lock = NSRecursiveLock()
  // Touched under `lock` alone.
  private var address: UnsafeMutableRawPointer?
  private var bytes = 0
  private var taken = 0

  /// Told of the bytes that are borrowed on this task; see ``GPUKernels/workingNeed(_:)``.
  @TaskLocal static var recorder: Recorder?

  /// The most bytes that were borrowed at a time.
  final class Recorder: @unchecked Sendable {
    // Touched by one thread.
    var most = 0
    var taken = 0
    /// What would have been launched.
    var kernels: Set<GPUKernel> = []
  }

  init(_ driver: any GPUDriver) { self.driver = driver }

  deinit { if let address { driver.free(address, bytes: bytes) } }

  /// Runs `body` with memory on 256 bytes and any contents; may be called in a body.
  ///
  /// Where the card has no such memory, `body` does not run, and the driver says so with its next call
  /// that throws.
  ///
  /// - Parameters:
  ///   - sizes: Bytes of each part.
  ///   - body: Asks for work on the parts; they are gone when it returns.
  func lend(_ sizes: [Int], _ body: ([UnsafeMutableRawPointer]) -> Void) {
    let places = sizes.reduce(into: [0]) { $0.append(($0.last ?? 0) + ($1 + 255) / 256 * 256) }
    let need = places.last ?? 0
    if let recorder = Self.recorder {
      recorder.taken += need
      recorder.most = max(recorder.most, recorder.taken)
      body(sizes.map { _ in GPUScratch.nowhere })
      recorder.taken -= need
      return
    }
    lock.withLock {
      guard let first = reserve(need) else { return }
      taken += need
      body(places.dropLast().map { first + $0 })
      taken -= need
    }
  }

  /// The same with matrices of floats, of so many rows and columns each.
  func lendViews(_ shapes: [(rows: Int, columns: Int)], _ body: ([View]) -> Void) {
    lend(shapes.map { 4 * $0.rows * $0.columns }) { addresses in
      body(
        zip(shapes, addresses).map { shape, address in
          View(
            Buffer(address: address, count: shape.rows * shape.columns, home: .device, bytes: 0) {},
            offset: 0, rows: shape.rows, columns: shape.columns)
        })
    }
  }

  /// An address that is followed by nobody.
  private static var nowhere: UnsafeMutableRawPointer {
    guard let address = UnsafeMutableRawPointer(bitPattern: 1 << 12) else {
      preconditionFailure("no such address")
    }
    return address
  }

  /// `need` bytes behind what is taken.
  private func reserve(_ need: Int) -> UnsafeMutableRawPointer? {
    if let address, taken + need <= bytes { return address + taken }
    // What an outer body has borrowed stays where it is: the card frees memory after the work.
    if let address, taken == 0 { driver.free(address, bytes: bytes) }
    if taken > 0, let address { outgrown.append((address, bytes)) }
    address = nil
    bytes = max(taken + need, 1 << 16)
    do throws(DeviceError) {
      address = try driver.allocate(bytes: bytes)
    } catch {
      bytes = 0
      driver.fail(error)
    }
    return address.map { $0 + taken }
  }

  /// Memory that an outer body may still name.
  private var outgrown: [(UnsafeMutableRawPointer, Int)] = []

  /// Gives back what nobody uses.
  func release() {
    lock.withLock {
      guard taken == 0 else { return }
      for (address, bytes) in outgrown { driver.free(address, bytes: bytes) }
      outgrown = []
      if let address { driver.free(address, bytes: bytes) }
      address = nil
      bytes = 0
    }
  }
}
