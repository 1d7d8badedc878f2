/** The random tests draw the same cases for every mutant, so that a run can be repeated. */
import fc from 'fast-check'

fc.configureGlobal({ seed: 1 })
