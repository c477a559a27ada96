import Foundation
import Synchronization
import Tensor

/// Tables with a row for every position, on the card; computed in Double and rounded once.
final class PositionTables: Sendable {
  enum Kind: Hashable {
    /// Cosines and sines of ``GPUKernels/rotary(x:positions:headWidth:theta:inverse:)``.
    case rotary(headWidth: Int, theta: Double)
    /// Sines and cosines of ``GPUKernels/addSinusoidal(x:positions:amplitude:)``.
    case sinusoidal(columns: Int, amplitude: Double)
  }

  private let tables = Mutex<[Kind: View]>([:])

  /// The table with at least so many rows; nil where the card has no memory for it, which the driver
  /// then says.
  func table(_ kind: Kind, positions: Int, on kernels: GPUKernels) -> View? {
    tables.withLock { tables in
      let known = tables[kind]
      if let known, known.rows >= positions { return known }
      let rows = max(positions, 2 * (known?.rows ?? 256))
      do throws(DeviceError) {
        let columns = Self.columns(kind)
        let table = try kernels.makeView(rows: rows, columns: columns)
        try kernels.write((0..<rows).flatMap { Self.row(kind, position: $0) }, to: table)
        // Where only memory is counted, nothing has been written.
        if GPUScratch.recorder == nil { tables[kind] = table }
        return table
      } catch {
        kernels.driver.fail(error)
        return nil
      }
    }
  }

  private static func columns(_ kind: Kind) -> Int {
    switch kind {
    case .rotary(let headWidth, _): headWidth
    case .sinusoidal(let columns, _): columns / 2 * 2
    }
  }

  private static func row(_ kind: Kind, position: Int) -> [Float] {
    switch kind {
    case .rotary(let headWidth, let theta):
      let angles = (0..<headWidth / 2).map {
        Double(position) * pow(theta, -2 * Double($0) / Double(headWidth))
      }
      return angles.map { Float(cos($0)) } + angles.map { Float(sin($0)) }
    case .sinusoidal(let columns, let amplitude):
      let half = columns / 2
      let angles = (0..<half).map {
        Double(position) * pow(10_000, -Double($0) / Double(half))
      }
      return angles.map { Float(amplitude * sin($0)) } + angles.map { Float(amplitude * cos($0)) }
    }
  }
}
