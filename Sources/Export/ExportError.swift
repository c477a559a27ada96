/// Why a model cannot be written for other programs.
package enum ExportError: Error, CustomStringConvertible, Equatable {
  case invalid(String)

  package var description: String {
    switch self {
    case .invalid(let problem): problem
    }
  }
}
