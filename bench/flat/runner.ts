/**
 * tapwall as a contender:
 *
 *     runner.js NAMESPACE TASK
 *
 * TASK is a file that `task.ts` writes. Before it is ready it has written the files for the floor. For the protocol see
 * `contender.ts`.
 */
import { writeFileSync } from 'node:fs';
import { linuxKernel } from '#src/kernel/linux.js';
import { answerQuestions } from '../answer.js';
import { Hand } from './hand.js';
import { readTask } from './task.js';

const [, , namespacePath = '', taskFile = ''] = process.argv;
const { plan, indexes, attachFile, detachFile } = readTask(taskFile);
const hand = new Hand(linuxKernel(), namespacePath, plan, indexes);
const { attach, detach } = hand.record();
writeFileSync(attachFile, attach);
writeFileSync(detachFile, detach);
answerQuestions(hand);
