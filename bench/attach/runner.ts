/**
 * The process of a contender that is written in TypeScript:
 *
 *     runner.js CONTENDER NAMESPACE TASK
 *
 * CONTENDER is the name of a module of `contenders/`; TASK is a file that `task.ts` writes. One that starts nft is in the
 * namespace already. For the protocol see `contender.ts`.
 */
import { answerQuestions } from '../answer.js';
import { ATTACH_CONTENDERS } from './contenders/all.js';
import { readTask } from './task.js';

const [, , name = '', namespacePath = '', taskFile = ''] = process.argv;
const contender = ATTACH_CONTENDERS.find((one) => one.name === name);
if (!contender) {
  process.stderr.write(`there is no contender ${name}\n`);
  process.exit(2);
}
answerQuestions(contender.prepare(namespacePath, readTask(taskFile)));
