"""``ctx.llm``: how an agent asks a model."""

from typing import Any, Final, TypeVar

from .answering import Answering
from .asker import Asker
from .calls.route import require_models
from .conversation import Read
from .errors import BadModelRequest
from .job import Job, until_before
from .minds import Minds
from .options import Options, changed
from .prompts.prompt import Prompt
from .prompts.prompt_file import inline
from .question import Question
from .request import AnswerForm
from .text_stream import TextStream
from .typed import Misfit, form_of, read_answer

T = TypeVar("T")
_DEFAULT: Final = Options()


class Llm:
    """Of one message in hand."""

    __slots__ = ("_asker", "_minds", "_options")

    def __init__(self, minds: Minds, asker: Asker, options: Options = _DEFAULT) -> None:
        self._minds, self._asker, self._options = minds, asker, options

    def using(self, **changes: Any) -> "Llm":
        """Return the same with other options; raises BadModelRequest.

        Args:
            changes: those of :class:`~.options.Options`. The ones that are used most: `model` by its name in the fleet
                file; `most` tokens of the answer, 1024 unless said, which is what a request may cost; `timeout` in
                seconds for all of it; `tools` that the model may have run; `check` for what a type cannot say; `step`
                to keep the answer with a task; `sensitive` for what only some endpoints may see.

        """
        return Llm(self._minds, self._asker, changed(self._options, changes))

    async def ask(self, kind: type[T], prompt: Prompt | str, /, **inputs: object) -> T:
        """Return what a model answers to `prompt` with these inputs, as a `kind`.

        The type's schema goes along, its ``__post_init__`` and the option `check` say what a schema cannot; an answer
        that does not fit goes back once. The wait is declared. In all it takes the option `timeout`, and not longer
        than the message in hand has.

        Args:
            kind: a struct, or any type that msgspec can decode.
            prompt: a :class:`~.prompts.prompt.Prompt`, or its text with ``{{places}}``: then no input is trusted.
            inputs: its values by name; what is no text is given as JSON.

        Raises:
            WrongAnswer: what came does not fit, also after one repair; ``raw`` has it.
            BudgetSpent, CallTooLarge: it may not cost so much; nothing was asked.
            ModelDown, ModelBusy, ModelStalled, BadAnswer, AnswerCut: no good answer in time.
            NoModels, UnknownModelName, NoModelAllowed, BadModelKey, BadModelRequest, ContextTooLong, BadPrompt,
            OfficeAway: as named.

        """
        question = self._question(prompt, inputs, form_of(kind))
        answer: T = await self._stepped(kind, question, lambda text: self._checked(read_answer(kind, text)))
        return answer

    async def text(self, prompt: Prompt | str, /, **inputs: object) -> str:
        """Return what a model answers, as text; otherwise as :meth:`ask`."""
        question = self._question(prompt, inputs, None)
        answer: str = await self._stepped(str, question, self._checked)
        return answer

    def stream(self, prompt: Prompt | str, /, **inputs: object) -> TextStream:
        """Return an answer piece by piece: ``async with ctx.llm.stream(...) as pieces: async for text in pieces``.

        It is settled when the block ends; one that is left early counts with all that it could have cost. Nothing of
        it is cached, and each model is tried once. Raises as :meth:`ask`, when the block begins and at each piece, and
        BadModelRequest for the options `step`, `check` and `tools`, which want a whole answer.
        """
        options = self._options
        if options.step or options.check or options.tools:
            raise BadModelRequest("a stream takes no step, check or tools: ask for the whole")
        question = self._question(prompt, inputs, None)
        if question.tainted:
            self._asker.doubt(0)
        return TextStream(self._minds, self._asker, self._job(question), question.request())

    # --- the question

    def _question(self, prompt: Prompt | str, inputs: dict[str, object], form: AnswerForm | None) -> Question:
        require_models(self._minds.config)
        found = inline(prompt) if isinstance(prompt, str) else prompt
        return Question(prompt=found, inputs=inputs, options=self._options, form=form)

    def _job(self, question: Question) -> Job:
        asker, options, config = self._asker, self._options, self._minds.config
        now = self._minds.clock.monotonic()
        end = now + (options.timeout or config.timeout)
        end = min(end, asker.until) if asker.until else end
        return Job(
            actor=asker.name, message=asker.message, tree=asker.tree, tenant=options.tenant,
            model=options.model or config.default, sensitive=options.sensitive or asker.private, urgent=options.urgent,
            prompt=question.prompt.name, version=str(question.prompt.version),
            until=until_before(end, now=now), end=end, idle=options.idle or config.idle,
        )  # fmt: skip

    def _checked(self, answer: Any) -> Any:
        if self._options.check is not None:
            try:
                self._options.check(answer)
            except ValueError as error:
                raise Misfit("$", str(error)) from error
        return answer

    async def _stepped(self, kind: Any, question: Question, read: Read) -> Any:
        if question.tainted:
            self._asker.doubt(0)  # also where an earlier try has asked
        if not self._options.step:
            return await self._answered(question, read)

        async def step(_key: bytes) -> Any:
            return await self._answered(question, read)

        model = self._minds.config.model(self._options.model)
        key = question.key(actor=self._asker.name, model=model, memory=0)
        answer = await self._asker.step(self._options.step, step, key, returns=kind)
        for each in self._options.tools:
            self._asker.doubt(each.gives)  # nobody knows which of them an earlier try had run
        return answer

    async def _answered(self, question: Question, read: Read) -> Any:
        return await Answering(self._minds, self._asker, question, self._job(question), read).answer()
